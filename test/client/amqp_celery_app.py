"""The Celery application of amqp_celery.py: its worker imports it, and the tests send its tasks."""

import os
import time

from celery import Celery
from kombu import Exchange, Queue

BROKER = os.environ.get("CELERY_BROKER", "amqp://guest:guest@127.0.0.1:5672//")
QUEUE = os.environ.get("CELERY_QUEUE", "celery-test")

app = Celery("colobus", broker=BROKER, backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE,
    task_queues=[Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE, queue_arguments={"x-max-priority": 10})],
    worker_prefetch_multiplier=int(os.environ.get("CELERY_PREFETCH", "4")),
    task_acks_late=os.environ.get("CELERY_ACKS_LATE") == "1",
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    broker_heartbeat=2,
    result_expires=60,
)


@app.task
def add(a, b):
    return a + b


@app.task
def note(path, text, seconds=0.0):
    """Appends a line to a file when it begins, and takes its time."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{text} {time.time()}\n")
    time.sleep(seconds)
    return text


@app.task(bind=True, max_retries=3)
def fails_twice(self, path):
    note(path, f"attempt-{self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(countdown=0.2, exc=ValueError("not yet"))
    return self.request.retries


@app.task(bind=True, autoretry_for=(ValueError,), max_retries=2, retry_backoff=False, default_retry_delay=0.1)
def always_fails(self, path):
    note(path, f"attempt-{self.request.retries}")
    raise ValueError("never")


@app.task
def waits_for(path, marker):
    """Holds a place in the pool until the file is there."""
    note(path, "waiting")
    end = time.time() + 20
    while not os.path.exists(marker) and time.time() < end:
        time.sleep(0.02)
