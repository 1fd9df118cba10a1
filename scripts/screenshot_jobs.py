"""What the pictures of the page show: real files, jobs that ended well and badly, and some that wait for something."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import demo_files
import httpx

EXAMPLES = Path(__file__).parents[1] / "examples"
IMPORTS = [EXAMPLES / name for name in ("payment.py", "nightly.py", "undo.py")]
"""Their workflows: `order` waits for a signal, `report` is for every night, `release` takes back what it published."""
WORDS = ("to be or not", "the quick brown fox", "rivers stopped to listen", "keep going", "every wheel stood still")
REGIONS = ("north", "south", "west")


@dataclass
class Seeded:
    """Jobs by what they are there for."""

    url: str
    files: Path
    jobs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=180)

    def submit(self, name: str, workflow: str, params: dict[str, Any], **more: Any) -> str:
        """Submit a job and remember it under a name."""
        answer = self.http.post("/jobs", json={"workflow": workflow, "params": params, **more})
        self.jobs[name] = answer.raise_for_status().json()["job_id"]
        return self.jobs[name]

    def upload(self, name: str) -> dict[str, str]:
        """Upload a file; return what a param of a job names it by."""
        answer = self.http.post("/files", params={"name": name}, content=(self.files / name).read_bytes())
        return {"file_id": answer.raise_for_status().json()["file_id"]}

    def ended(self, *names: str) -> None:
        """Wait until jobs have ended."""
        for name in names:
            while self.http.get(f"/jobs/{self.jobs[name]}", params={"wait_s": 30}).json()["finished_at"] is None:
                pass

    def asked(self, name: str) -> dict[str, Any]:
        """Wait until a job asks a person in its middle; return the approval node."""
        while True:
            for each in self.http.get("/approvals").json()["items"]:
                if each["job"]["job_id"] == self.jobs[name] and each["task"] is not None:
                    task: dict[str, Any] = each["task"]
                    return task
            self.http.get(f"/jobs/{self.jobs[name]}", params={"wait_s": 0.5})


def seed(url: str, folder: Path) -> Seeded:
    """Make the files and the jobs. Takes a minute or two."""
    demo_files.make(folder)
    made = Seeded(url, folder)
    for place in range(24):
        made.submit("words", "wordcount", {"text": WORDS[place % len(WORDS)]}, labels={"region": REGIONS[place % 3]})
    for name in ("mountains.jpg", "orpheus.pdf", "letter.pdf", "colours.mp4", "holiday.jpg"):
        made.submit(Path(name).stem, "media", {"source": made.upload(name)}, labels={"album": "summer"})
    for audience in ("everybody", "nobody", "nobody", "nobody"):
        made.submit(f"release {audience}", "release", {"name": "trailer", "audience": audience})
    talk = made.upload("talk.mp4")
    made.submit("talk", "talk", {"source": talk, "review": True}, labels={"show": "quarterly"})
    _approve_with_changes(made)
    made.submit("order", "order", {"item": "print"}, labels={"customer": "ada"})
    made.submit("after the order", "wordcount", {"text": "thank you"}, depends_on=[made.jobs["order"]])
    report = {"workflow": "report", "params": {"place": "Bremen"}}
    for name, when in (("nightly", {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}), ("often", {"every_s": 600})):
        made.http.post(
            "/schedules", json={"name": name, "job": report, "description": f"How warm it is, {name}", **when}
        )
        made.http.post(f"/schedules/{name}/run").raise_for_status()
    made.ended("mountains", "orpheus", "letter", "colours", "holiday", "talk")
    made.submit("review", "talk", {"source": talk, "review": True, "settings": {"lead_s": 0.1}})
    made.asked("review")
    _storyboards(made)
    made.http.patch("/queues/default", json={"rate_limit": {"limit": 600, "period_s": 60}}).raise_for_status()
    return made


def _approve_with_changes(made: Seeded) -> None:
    """Keep the first hesitation, as a person might."""
    plan = made.asked("talk")["approval"]["value"]
    spared = next(each for each in plan["removed"] if each["reason"] == "filler")
    kept = sorted(
        [*plan["kept"], {"start_s": spared["start_s"], "end_s": spared["end_s"]}],
        key=lambda span: float(span["start_s"]),
    )
    removed = [each for each in plan["removed"] if each is not spared]
    length_s = round(sum(span["end_s"] - span["start_s"] for span in kept), 3)
    value = {**plan, "kept": kept, "removed": removed, "kept_duration_s": length_s}
    path = f"/jobs/{made.jobs['talk']}/tasks/review/approve"
    made.http.post(path, json={"value": value, "comment": "the first one is charming"}).raise_for_status()


def _storyboards(made: Seeded) -> None:
    """One that was rendered, and one that waits for somebody to agree to its price."""
    picture = made.upload("mountains.jpg")
    motions = ("zoom_in", "pan_left", "zoom_out", "pan_right", "zoom_in", "pan_left")
    scenes = [
        {
            "id": f"scene{place}",
            "image": picture,
            "duration_s": 2,
            "motion": motion,
            "caption": WORDS[place % len(WORDS)],
        }
        for place, motion in enumerate(motions)
    ]
    board = {"title": "Spring", "size": [640, 360], "fps": 25, "scenes": scenes}
    made.submit("storyboard", "storyboard", {"storyboard": board}, requires_approval=False)
    made.ended("storyboard")
    made.submit("waits", "storyboard", {"storyboard": {**board, "title": "Autumn"}}, labels={"customer": "ada"})


def busy(made: Seeded) -> None:
    """Give the workers something to do for a while."""
    picture = made.upload("mountains.jpg")
    scene = {"image": picture, "duration_s": 8, "motion": "zoom_in"}
    scenes = [{**scene, "id": f"long{place}", "caption": f"{place}"} for place in range(8)]
    board = {"title": "Long", "size": [1280, 720], "fps": 25, "scenes": scenes}
    params = {"storyboard": board, "start_delay_ms": 0}
    made.submit("busy", "storyboard", params, requires_approval=False, labels={"customer": "bob"})
