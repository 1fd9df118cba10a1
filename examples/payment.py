"""Something has to happen outside before the job goes on: a payment, a delivery, a colleague.

orpheus run --inline examples/payment.py:order -p item=print --signal payment='{"amount": 12.5}'

On a server: `orpheus jobs signal JOB payment --payload '{"amount": 12.5}'`, also before the job has come so far: it is kept.
"""

from dataclasses import dataclass

from orpheus import task, wait_for, workflow


@dataclass
class Payment:
    amount: float
    currency: str = "EUR"


@task
def reserve(item: str) -> str:
    return f"one {item}"


@task
def send(reserved: str, payment: Payment) -> str:
    return f"{reserved}, paid {payment.amount:g} {payment.currency}"


@workflow
def order(item: str) -> str:
    reserved = reserve(item)
    return send(reserved, wait_for("payment", Payment, timeout_s=7 * 86_400))
