"""`trio-stt` with a catalogue of one model, for tests that need its process: `python -m tests.support.models_command`.

The environment names the model (`TEST_URL`, `TEST_SIZE`, `TEST_SHA256`) and the limit of file sizes (`TEST_LIMIT`).
"""

import os
import signal
import sys

from trio_stt import cli
from trio_stt.models import catalogue
from trio_stt.models.spec import ModelFormat, ModelSource, ModelSpec

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore SIGINT
    url = os.environ.pop("TEST_URL")
    source = ModelSource(
        name=url.rpartition("/")[2],
        url=url,
        size_bytes=int(os.environ.pop("TEST_SIZE")),
        sha256=os.environ.pop("TEST_SHA256"),
    )
    catalogue.ENTRIES = (
        ModelSpec(
            engine="whisper_cpp",
            name="mine",
            languages=("en",),
            licence="MIT",
            form=ModelFormat.FILE,
            place=source.name,
            sources=(source,),
        ),
    )
    if limit := os.environ.pop("TEST_LIMIT", ""):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    sys.exit(cli.main())
