"""trio-stt: self-hosted, real-time speech-to-text for many speakers at once."""

import os

from trio_stt.runtime.cache_folder import prepare_kernel_cache

# onnxruntime 1.32 and later send telemetry and write a device id below ~/.cache/Microsoft unless this is set before
# their import. Here, because every way in imports this package first: the command line, `trio_stt.app`, each module.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
prepare_kernel_cache()
