"""Cost of what happens to every packet and window, beside the plain way in NumPy, SciPy or the library itself."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soxr
import webrtcvad
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.signal import resample_poly

from benchmarks.speech import QUIET, SPEECH_16K, SPEECH_48K, windows
from tests.dsp.sounds import silero_inputs
from tests.dsp.test_boundary import reference
from trio_stt.dsp import SAMPLE_RATE_HZ, WINDOW_SAMPLES, kernels
from trio_stt.dsp.boundary import BoundaryDetector
from trio_stt.dsp.detector import SpeechDetector
from trio_stt.dsp.embedding import MEL_BINS, MEL_STEP, Embedding, StreamingEmbedding, WholeEmbedding
from trio_stt.dsp.gate import EnergyGate
from trio_stt.dsp.resample import StreamResampler
from trio_stt.dsp.silero import INPUT_SAMPLES, SileroModel, new_state
from trio_stt.dsp.wake_words import WakeWords
from trio_stt.dsp.webrtc import WebRtcVad
from trio_stt.protocol.packets import build_packet, parse_packet
from trio_stt.runtime.packages import package_folder
from trio_stt.settings import Settings

PACKET = SPEECH_48K[48_000 : 48_000 + 1_920]
WINDOW = windows(SPEECH_16K)[40]
Pcm = NDArray[np.int16]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    kernels.warm_up()
    BoundaryDetector(0.6).push(WINDOW)


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel()


@pytest.mark.benchmark(group="packet of 40 ms at 48 kHz, stereo: check, decode, mix down")
class TestPacket:
    FRAME = build_packet(np.repeat(PACKET, 2).tobytes(), rate_hz=48_000, channels=2)

    def test_ours(self, benchmark: BenchmarkFixture) -> None:
        def decode() -> Pcm:
            packet = parse_packet(self.FRAME, max_payload_bytes=524_288)
            return kernels.downmix_pcm16(packet.payload, packet.channels)

        assert benchmark(decode).size == PACKET.size

    def test_json_and_numpy(self, benchmark: BenchmarkFixture) -> None:
        def decode() -> Pcm:
            size = int.from_bytes(self.FRAME[:4], "little")
            metadata = json.loads(self.FRAME[4 : 4 + size].decode())
            samples = np.frombuffer(self.FRAME[4 + size :], "<i2").reshape(-1, metadata["channels"])
            mono: Pcm = samples.mean(axis=1).astype(np.int16)
            return mono

        assert benchmark(decode).size == PACKET.size


@pytest.mark.benchmark(group="40 ms from 48 to 16 kHz; see benchmarks/resampling.py for delays and other rates")
class TestResample:
    def test_ours(self, benchmark: BenchmarkFixture) -> None:
        benchmark(StreamResampler(48_000).push, PACKET)

    @pytest.mark.parametrize(("quality", "variable"), [("LQ", False), ("MQ", False), ("HQ", True)])
    def test_soxr_stream(self, benchmark: BenchmarkFixture, quality: str, variable: bool) -> None:
        stream = soxr.ResampleStream(48_000, SAMPLE_RATE_HZ, 1, dtype="float32", quality=quality, vr=variable)
        benchmark(lambda: stream.resample_chunk(kernels.to_float32(PACKET)))

    def test_scipy_resample_poly(self, benchmark: BenchmarkFixture) -> None:
        benchmark(lambda: np.clip(np.rint(resample_poly(PACKET, 1, 3)), -32768, 32767).astype(np.int16))


@pytest.mark.benchmark(group="energy gate on 32 ms")
class TestGate:
    def test_ours(self, benchmark: BenchmarkFixture) -> None:
        gate = EnergyGate(200.0)
        benchmark(lambda: gate.passes(kernels.rms(WINDOW)))

    def test_numpy(self, benchmark: BenchmarkFixture) -> None:
        benchmark(lambda: math.sqrt(np.mean(WINDOW.astype(np.float64) ** 2)) > 200.0)


@pytest.mark.benchmark(group="WebRTC on 32 ms")
class TestWebRtc:
    def test_ours(self, benchmark: BenchmarkFixture) -> None:
        benchmark(WebRtcVad(3).is_speech, WINDOW)

    def test_the_library(self, benchmark: BenchmarkFixture) -> None:
        vad = webrtcvad.Vad(3)
        frames = [WINDOW[at : at + 160].tobytes() for at in (0, 160, 320)]
        benchmark(lambda: any([vad.is_speech(frame, SAMPLE_RATE_HZ) for frame in frames]))  # noqa: C419 - all frames must be processed


@pytest.mark.benchmark(group="Silero on 16 windows of 32 ms")
class TestSilero:
    INPUTS = silero_inputs(SPEECH_16K)[40:56]

    def test_ours(self, benchmark: BenchmarkFixture, silero: SileroModel) -> None:
        states = new_state()[np.newaxis]
        benchmark(lambda: [silero.score(stream, states) for stream in self.INPUTS])

    def test_ours_in_two_states(self, benchmark: BenchmarkFixture, silero: SileroModel) -> None:
        states = np.stack((new_state(), silero.silence_state))
        benchmark(lambda: [silero.score(stream, states) for stream in self.INPUTS])

    @pytest.mark.parametrize("batch_size", [1, 16])
    def test_onnxruntime(self, benchmark: BenchmarkFixture, silero: SileroModel, batch_size: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(silero.path, options, providers=["CPUExecutionProvider"])
        stream = np.stack([kernels.to_float32(each) for each in self.INPUTS]).reshape(-1, batch_size, INPUT_SAMPLES)
        rate, state = np.array(SAMPLE_RATE_HZ, np.int64), np.zeros((2, batch_size, 128), np.float32)
        benchmark(lambda: [session.run(None, {"input": rows, "state": state, "sr": rate}) for rows in stream])


@pytest.mark.benchmark(group="whole voice detection on 1 s, 31 windows")
class TestDetector:
    @pytest.mark.parametrize(("sound", "speaking"), [("quiet room", False), ("speech", False), ("speech", True)])
    def test_ours(self, benchmark: BenchmarkFixture, silero: SileroModel, sound: str, speaking: bool) -> None:
        stream = windows(SPEECH_16K if sound == "speech" else QUIET)[31:62]
        detector = SpeechDetector(silero)
        for window in stream:
            detector.detect(window, speaking=speaking)
        benchmark(lambda: [detector.detect(window, speaking=speaking) for window in stream])


@pytest.mark.benchmark(group="openWakeWord's embedding of 80 ms")
class TestEmbedding:
    @pytest.mark.parametrize("network", [StreamingEmbedding, WholeEmbedding])
    def test_step(self, benchmark: BenchmarkFixture, network: Callable[[Path], Embedding]) -> None:
        package = package_folder("openwakeword")
        assert package is not None
        embedding = network(package / "resources" / "models" / "embedding_model.onnx")
        mel = np.random.default_rng(0).normal(6.0, 3.0, (10 * MEL_STEP, MEL_BINS)).astype(np.float32)
        _, state = embedding.process(mel, embedding.blank)
        benchmark(embedding.process, mel[-MEL_STEP:], state)


@pytest.mark.benchmark(group="waiting for one wake word on 10 s")
class TestWakeWord:
    @pytest.mark.parametrize("sound", ["quiet room", "speech"])
    def test_ours(self, benchmark: BenchmarkFixture, sound: str) -> None:
        stream = windows(SPEECH_16K if sound == "speech" else QUIET)
        detector = WakeWords().new_detector(Settings(wakeword_backend="openwakeword", wake_words="hey jarvis"))
        assert detector is not None
        benchmark(lambda: [detector.process(window) for window in stream])


@pytest.mark.benchmark(group="syllable boundaries in 1 s of speech")
class TestBoundaries:
    SECOND = SPEECH_16K[SAMPLE_RATE_HZ : 2 * SAMPLE_RATE_HZ]

    def test_ours_in_windows(self, benchmark: BenchmarkFixture) -> None:
        detector = BoundaryDetector(0.6)
        pieces = [self.SECOND[at : at + WINDOW_SAMPLES] for at in range(0, self.SECOND.size, WINDOW_SAMPLES)]
        benchmark(lambda: [detector.push(piece) for piece in pieces])

    def test_numpy(self, benchmark: BenchmarkFixture) -> None:
        benchmark.pedantic(reference, args=(self.SECOND, 0.6), rounds=5)  # type: ignore[no-untyped-call] # untyped there
