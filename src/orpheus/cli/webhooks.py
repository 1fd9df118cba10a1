"""`orpheus webhooks …`"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from orpheus.cli.connect import ServerFlag, connect
from orpheus.cli.output import JsonFlag, note, print_json, say, table
from orpheus.cli.params import parse_labels
from orpheus.cli.show import age
from orpheus.core.webhook_signature import MADE_BYTES, make_secret
from orpheus.protocol.webhooks import DeliveryInfo, WebhookInfo

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Have URLs called when something happens, and see how it went."
)

WebhookArgument = Annotated[str, typer.Argument(help="The webhook's id.", metavar="WEBHOOK")]
DeliveryArgument = Annotated[str, typer.Argument(help="The delivery's id.", metavar="DELIVERY")]
EventFlag = Annotated[
    list[str] | None, typer.Option("-e", "--event", help="A type, job.* or *; may be repeated. (default: ends of jobs)")
]
LabelFlag = Annotated[
    list[str] | None, typer.Option("-l", "--label", metavar="NAME=VALUE", help="Only jobs with this label.")
]


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where to POST to.")],
    *,
    event: EventFlag = None,
    workflow: Annotated[str | None, typer.Option("-w", "--workflow", help="Only jobs of this workflow.")] = None,
    label: LabelFlag = None,
    tenant: Annotated[str | None, typer.Option(help="Only jobs of this tenant.")] = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Subscribe a URL to events. Prints the secret that signs, which is not shown again."""
    with connect(server) as client:
        made = client.webhooks.create(
            url,
            events=event or None,
            workflow=workflow,
            labels=parse_labels(label) or None,
            tenant=tenant,
            description=description,
        )
    _print(made, json=json)


@app.command("list")
def list_webhooks(server: ServerFlag = None, json: JsonFlag = False) -> None:
    """List the subscriptions."""
    with connect(server) as client:
        found = list(client.webhooks.list())
    if json:
        print_json({"items": found})
        return
    if not found:
        note("no webhooks: `orpheus webhooks add URL` subscribes one")
        return
    table(
        ("webhook", "url", "events", "enabled"),
        [
            (one.webhook_id, one.url, ", ".join(one.events), "yes" if one.enabled else f"no: {one.disabled_reason}")
            for one in found
        ],
    )


@app.command()
def show(webhook_id: WebhookArgument, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Show a subscription."""
    with connect(server) as client:
        _print(client.webhooks.get(webhook_id), json=json)


@app.command()
def change(
    webhook_id: WebhookArgument,
    *,
    url: Annotated[str | None, typer.Option(help="Another URL.")] = None,
    event: EventFlag = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether it is told anything.")] = None,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Change a subscription."""
    changes: dict[str, Any] = {"url": url, "events": event or None, "enabled": enabled}
    with connect(server) as client:
        changed = client.webhooks.change(
            webhook_id, **{name: value for name, value in changes.items() if value is not None}
        )
    _print(changed, json=json)


@app.command()
def remove(webhook_id: WebhookArgument, server: ServerFlag = None) -> None:
    """Remove a subscription and give up what is pending for it."""
    with connect(server) as client:
        client.webhooks.delete(webhook_id)
    say(f"{webhook_id} removed")


@app.command()
def rotate(
    webhook_id: WebhookArgument,
    keep_old_s: Annotated[float, typer.Option(min=0, help="For so many seconds the old secret signs too.")] = 86_400.0,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """Give a subscription another secret, and print it."""
    with connect(server) as client:
        _print(client.webhooks.rotate(webhook_id, keep_old_s=keep_old_s), json=json)


@app.command()
def test(webhook_id: WebhookArgument, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Send a delivery of type webhook.test."""
    with connect(server) as client:
        _print_delivery(client.webhooks.test(webhook_id), json=json)


@app.command()
def deliveries(
    *,
    webhook: Annotated[str | None, typer.Option(help="Only those of this webhook.")] = None,
    job: Annotated[str | None, typer.Option(help="Only those that tell of this job.")] = None,
    state: Annotated[str | None, typer.Option(help="pending, delivered or dead.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many at most.")] = 20,
    server: ServerFlag = None,
    json: JsonFlag = False,
) -> None:
    """List deliveries, the newest first."""
    with connect(server) as client:
        found = list(client.webhooks.deliveries(webhook=webhook, job=job, state=state, limit=limit))
    if json:
        print_json({"items": found})
        return
    table(
        ("delivery", "type", "job", "state", "attempts", "when", "error"),
        [
            (one.delivery_id, one.type, one.job_id, one.state, one.attempts, age(one.at) + " ago", one.last_error)
            for one in found
        ],
    )


@app.command()
def redeliver(delivery_id: DeliveryArgument, server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Send a delivery again, under its id."""
    with connect(server) as client:
        _print_delivery(client.webhooks.redeliver(delivery_id), json=json)


@app.command()
def secret(server: ServerFlag = None, json: JsonFlag = False) -> None:
    """Print the secret that signs webhooks to jobs' own webhook_url, if the server made it."""
    with connect(server) as client:
        found = client.webhooks.own_secret()
    if json:
        print_json(found)
    elif found.secret is None:
        note("it is set by ORPHEUS_WEBHOOK_SECRET, and not shown")
    else:
        say(found.secret)


@app.command("new-secret")
def new_secret() -> None:
    """Print a new secret, for ORPHEUS_WEBHOOK_SECRET."""
    say(make_secret(os.urandom(MADE_BYTES)))


def _print(webhook: WebhookInfo, *, json: bool) -> None:
    if json:
        print_json(webhook)
        return
    say(f"{webhook.webhook_id}  {webhook.url}  {', '.join(webhook.events)}")
    if not webhook.enabled:
        say(f"disabled: {webhook.disabled_reason}")
    if isinstance(webhook.secret, str):
        say(f"secret: {webhook.secret}")


def _print_delivery(delivery: DeliveryInfo, *, json: bool) -> None:
    if json:
        print_json(delivery)
    else:
        say(f"{delivery.delivery_id} {delivery.state}")
