"""What tests outside the matrix prove of clients that share queues, for docs/compatibility.md."""

from __future__ import annotations

from dataclasses import dataclass

BOTH = "6.7, 5.81"
ONE = "6.7"
OLD = "5.81"


@dataclass(frozen=True)
class Proof:
    """What holds of a *feature*, in which *versions* of Node's client, and the *test* for it."""

    feature: str
    holds: str
    versions: str
    test: str


PROOFS = [
    Proof(
        "data that is `null`, a list, text or a number",
        "fails at once in bullq, unretried, with pydantic's words: a job's payload is an object",
        ONE,
        "test_odd_input.py::test_data_of_another_type_fails_at_once_with_what_pydantic_says",
    ),
    Proof(
        "`null`, lists, escapes, literals and 1 MB inside a payload",
        "arrive in Node as they were sent",
        BOTH,
        "test_bullq_to_node.py::test_node_sees_the_payload_as_it_was_sent",
    ),
    Proof(
        "options of a dispatch",
        "are what Node reads: attempts, backoff, jitter, retention, logs, delay, priority, "
        "deduplication",
        BOTH,
        "test_bullq_to_node.py::test_node_decodes_the_options",
    ),
    Proof(
        "jitter of a backoff",
        "is drawn by bullq as by Node",
        BOTH,
        "test_node_to_bullq.py::test_the_jitter_of_a_backoff_set_in_node_is_drawn",
    ),
    Proof(
        "backoff strategy that only its producer knows",
        "ends the job for good in bullq, and the stack trace says why",
        ONE,
        "test_odd_input.py::test_a_backoff_that_only_its_producer_knows_ends_the_job_and_says_so",
    ),
    Proof(
        "job name that nobody knows",
        "fails, with the known names and the nearest one",
        ONE,
        "test_odd_input.py::test_a_name_nobody_knows_fails_with_the_known_names",
    ),
    Proof(
        "broken options, data or counters in a job's hash",
        "fail the job once, with the field's name; nothing loops",
        ONE,
        "test_odd_input.py::test_a_corrupt_field_ends_the_job_and_never_loops",
    ),
    Proof(
        "id in `wait` without a job",
        "is taken out, and told by a `removed` event",
        ONE,
        "test_odd_input.py::test_an_id_without_a_job_is_discarded_and_the_worker_goes_on",
    ),
    Proof(
        "`waitUntilFinished` and `receipt.result()`",
        "give results and failures across both",
        BOTH,
        "test_waiting_in_node.py::test_wait_until_finished_gives_the_result_of_a_job_run_by_bullq",
    ),
    Proof(
        "`getWorkers()` and `processedBy`",
        "list each bullq worker once, by its name",
        BOTH,
        "test_waiting_in_node.py::test_node_lists_the_worker_once_with_its_name",
    ),
    Proof(
        "`getQueueEvents()`",
        "lists who waits for results or reads events in bullq",
        BOTH,
        "test_waiting_in_node.py::test_node_lists_the_reader_of_results",
    ),
    Proof(
        "counts by state, jobs, events",
        "are seen alike by Node and bullq, in every run of the tables above",
        "6.7, 6.0, 5.81",
        "test_matrix.py::test_every_pairing_leaves_what_node_and_node_leave",
    ),
    Proof(
        "Node worker killed by SIGKILL in the middle of a job",
        "bullq finishes the job",
        BOTH,
        "test_recovery.py::test_bullq_finishes_the_job_of_a_killed_node_worker",
    ),
    Proof(
        "bullq worker killed by SIGKILL in the middle of a job",
        "Node finishes the job",
        BOTH,
        "test_recovery.py::test_node_finishes_the_job_of_a_killed_bullq_worker",
    ),
    Proof(
        "pause and resume while a bullq worker runs",
        "stop and start it",
        BOTH,
        "test_flow_control.py::test_pause_and_resume_in_node_stop_and_start_a_bullq_worker",
    ),
    Proof(
        "schedules made in Node",
        "go on in bullq without a gap, and in Node again",
        BOTH,
        "test_schedules.py::test_schedules_made_in_node_go_on_in_bullq",
    ),
    Proof(
        "`@job(every=...)` and `@job(cron=...)`",
        "go on in Node",
        BOTH,
        "test_schedules.py::test_a_recurring_job_declared_in_bullq_goes_on_in_node",
    ),
    Proof(
        "cron in a syntax of Node alone (`H`)",
        "its run fails at once with the reason, and the schedule ends",
        ONE,
        "test_schedules.py::"
        "test_a_schedule_in_a_syntax_of_node_alone_fails_its_run_once_and_says_why",
    ),
    Proof(
        "repeatable jobs of the old kind, `add(..., { repeat })`",
        "lose their data when anything but a 5.x worker moves them on, as in Node 6: use job "
        "schedulers",
        OLD,
        "test_schedules.py::test_a_repeatable_job_of_5_81_goes_on_without_its_data",
    ),
    Proof(
        "traces of OpenTelemetry (`tm`)",
        "one trace from Node to bullq to Node",
        ONE,
        "telemetry/test_one_trace.py::test_node_to_bullq_to_node_is_one_trace",
    ),
    Proof(
        "queue paused by bullq that a 5.x client adds to",
        "nothing is lost when bullq resumes it, which it refuses unless forced, and warns of",
        OLD,
        "test_old_clients.py::"
        "test_what_an_old_client_adds_to_a_paused_queue_is_brought_back_by_a_resume",
    ),
    Proof(
        "queue paused by bullq that a 5.x client resumes",
        "that client loses the jobs; `bullq queues rescue` has them wait again, in their order",
        OLD,
        "test_old_clients.py::test_what_the_resume_of_an_old_client_loses_is_rescued_in_its_order",
    ),
]
