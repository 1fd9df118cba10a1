"""Services, with real processes: a prediction is paid for once though its worker is killed, and a cancel waits for nobody."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.media.real import Cluster, board, make_video, stops_soon, until

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]


class Slow(ThreadingHTTPServer):
    """Replicate's API with predictions that end when the test says so."""

    def __init__(self, clip: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.clip = clip
        self.created: list[str] = []
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.done = False
        self.deaf = False
        self.listening = 0
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Slow

    def log_message(self, *_: object) -> None: ...

    def _answer(self, value: object) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/transcriptions"):
            self.server.listening += 1
            self.server.over.wait(60)
        elif self.path == "/files":
            self._answer({"urls": {"get": f"{self.server.url}/files/1"}})
        elif self.path.endswith("/cancel"):
            self.server.cancelled.append(self.path.split("/")[-2])
            if self.server.deaf:
                self.server.over.wait(60)
            self._answer({})
        else:
            self.server.created.append(f"p{len(self.server.created)}")
            self._answer({"id": self.server.created[-1], "status": "starting"})

    def do_GET(self) -> None:
        if self.path == "/made.mp4":
            self._answer(self.server.clip)
            return
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append(name)
        status = "succeeded" if self.server.done else "processing"
        self._answer({"id": name, "status": status, "output": f"{self.server.url}/made.mp4"})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    server = Slow(make_video(tmp_path_factory.mktemp("made") / "made.mp4", seconds=1).read_bytes())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def cluster(service: Slow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    named = {"ORPHEUS_REPLICATE_URL": service.url, "ORPHEUS_TRANSCRIBE_URL": f"{service.url}/v1"}
    made = Cluster(tmp_path_factory.mktemp("services"), **named, REPLICATE_API_TOKEN="r8-secret")
    yield made
    made.stop()


@pytest.mark.samples
def test_a_service_that_hangs_holds_up_no_cancel(service: Slow, cluster: Cluster, samples: Path) -> None:
    before = service.listening

    def asked(_job_id: str) -> bool:
        return service.listening > before

    stops_soon(cluster, "media", "transcribe", {"source": samples / "audio/jfk.flac"}, in_child=True, under_way=asked)


def test_a_prediction_is_paid_for_once_and_cancelled_with_its_job(
    service: Slow, cluster: Cluster, tmp_path: Path
) -> None:
    client = cluster.client
    params = {
        "storyboard": board(client, tmp_path, count=1, seconds=1.0),
        "renderer": "replicate",
        "start_delay_ms": 0,
    }
    job_id = client.submit("storyboard", params, requires_approval=False).job_id
    until(lambda: service.asked, "a question after the prediction")
    time.sleep(1.0)  # its id has come with a heartbeat
    cluster.kill_worker()
    cluster.start_worker()
    seen = len(service.asked)
    until(lambda: len(service.asked) > seen, "a question of the next attempt")
    service.done = True
    assert client.wait(job_id, timeout_s=60).state == "completed", cluster.told()
    assert service.created == ["p0"]

    service.done = False
    params["storyboard"]["scenes"][0]["prompt"] = "something else"
    stops_soon(
        cluster,
        "storyboard",
        "generate_scene",
        params,
        in_child=True,
        under_way=lambda _: service.created[-1] in service.asked,
        gone=lambda _: service.cancelled[-1:] == service.created[-1:],
    )


def test_a_cancel_that_is_not_answered_over_there_holds_up_nothing(
    service: Slow, cluster: Cluster, tmp_path: Path
) -> None:
    service.deaf = True
    params = {"storyboard": board(cluster.client, tmp_path, count=1, seconds=1.5), "renderer": "replicate"}
    stops_soon(
        cluster,
        "storyboard",
        "generate_scene",
        params,
        in_child=True,
        under_way=lambda _: service.created[-1:] == service.asked[-1:],
        gone=lambda _: service.cancelled[-1:] == service.created[-1:],
    )
