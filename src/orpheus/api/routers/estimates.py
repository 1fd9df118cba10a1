"""What would a job cost, and how long would it take?"""

from __future__ import annotations

import msgspec

from orpheus.api.calls import Answer, Call, json_answer
from orpheus.api.errors import MalformedBody, TooLarge, UnsupportedBody
from orpheus.api.route import Routes
from orpheus.api.submissions import to_submission
from orpheus.core.errors import DefinitionConflict, InvalidGraph, InvalidParams, InvalidRequest, UnknownWorkflow
from orpheus.protocol.estimates import EstimateInfo
from orpheus.protocol.jobs import SubmitJob

routes = Routes("jobs")


@routes.post(
    "/estimate",
    role="submit",
    body=SubmitJob,
    answers={200: EstimateInfo},
    errors=(
        MalformedBody,
        UnsupportedBody,
        TooLarge,
        UnknownWorkflow,
        InvalidParams,
        InvalidGraph,
        InvalidRequest,
        DefinitionConflict,
    ),
    examples={"count": {"workflow": "wordcount", "params": {"text": "one two two"}}},
)
async def estimate(call: Call) -> Answer:
    """Estimate a job: the body of `POST /jobs`, and nothing is created.

    Price from the prices of its tasks, duration from what the same tasks took before with an input of this size. What is not
    known is null, and `unknown` says why.
    """
    submission = await to_submission(call, call.body)
    found = await call.services.engine.estimate(submission)
    return json_answer(msgspec.convert(found.to_json(), EstimateInfo))
