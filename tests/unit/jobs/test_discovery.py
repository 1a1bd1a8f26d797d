from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bullq.errors import JobDefinitionError
from bullq.jobs.discovery import discover, jobs_in

SERVICE = """
from pydantic import BaseModel
from bullq import job

class Order(BaseModel):
    order_id: int

@job{options}
def {function}(order: Order) -> int:
    return order.order_id
"""

_names = (f"jobs{number}" for number in itertools.count())
Make = Callable[[dict[str, str]], str]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Write a package of jobs with these files, and give its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def write(files: dict[str, str]) -> str:
        package = next(_names)
        made.append(package)
        (tmp_path / package).mkdir()
        for name, text in files.items():
            file = tmp_path / package / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        importlib.invalidate_caches()
        return package

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] in made]:
        del sys.modules[name]


def service(function: str = "run", options: str = "") -> str:
    return SERVICE.format(function=function, options=options)


def problems(package: str) -> list[str]:
    with pytest.raises(JobDefinitionError) as caught:
        discover(package)
    return caught.value.problems


def test_queue_and_name_come_from_folder_and_file(make: Make) -> None:
    package = make(
        {
            "__init__.py": "",
            "default/__init__.py": "",
            "default/send_receipt_service.py": service(),
            "data_sync/pull_orders_service.py": service("pull"),
        }
    )
    found = {(job.queue, job.name) for job in discover(package)}
    assert found == {("default", "send-receipt"), ("data-sync", "pull-orders")}


def test_folders_need_no_init_file(make: Make) -> None:
    package = make({"default/mail_service.py": service()})
    assert [job.name for job in discover(package)] == ["mail"]


def test_queue_and_name_can_be_said_by_keyword(make: Make) -> None:
    package = make({"default/mail_service.py": service(options='(queue="slow", name="letter")')})
    assert [(job.queue, job.name) for job in discover(package)] == [("slow", "letter")]


def test_a_service_may_define_several_jobs_if_it_names_them(make: Make) -> None:
    text = service("one", '(name="one")') + service("two", '(name="two")')
    package = make({"default/both_service.py": text})
    assert {job.name for job in discover(package)} == {"one", "two"}


def test_an_imported_job_is_not_the_importer_s(make: Make) -> None:
    package = make({"default/mail_service.py": service()})
    text = f"from {package}.default.mail_service import run as other\n" + service("bill")
    (Path(sys.path[0]) / package / "default" / "bill_service.py").write_text(text)
    assert {job.name for job in discover(package)} == {"mail", "bill"}
    module = importlib.import_module(f"{package}.default.bill_service")
    assert [job.name for job in jobs_in(module)] == ["bill"]


def test_only_files_of_services_are_imported(make: Make) -> None:
    package = make(
        {
            "default/mail_service.py": service(),
            "default/broken.py": "raise RuntimeError",
            "broken_service.py": "raise RuntimeError",
            "default/deeper/broken_service.py": "raise RuntimeError",
        }
    )
    assert len(discover(package)) == 1


def test_a_service_without_a_job_is_told(make: Make) -> None:
    package = make({"default/mail_service.py": "def run(): ...", "default/x_service.py": service()})
    assert problems(package) == [
        f"{package}.default.mail_service: a service without a job; decorate its function @job"
    ]


def test_a_service_that_raises_at_import_is_told_with_its_line(make: Make) -> None:
    package = make({"default/mail_service.py": "\n\nraise ValueError('no config')"})
    [problem] = problems(package)
    assert problem.startswith(f"{package}.default.mail_service: raises ValueError at import: ")
    assert "no config" in problem
    assert problem.endswith("mail_service.py:3)")


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("timeout='5s'", "a duration is a timedelta or a number of seconds, not '5s'"),
        ("backoff='fixed'", "A job's backoff is a Backoff, such as Backoff.fixed(30), not 'fixed'"),
        ("retries=3", "unexpected keyword argument 'retries'"),
    ],
)
def test_an_option_that_cannot_be_is_told_with_the_user_s_line(
    make: Make, option: str, sentence: str
) -> None:
    [problem] = problems(make({"default/mail_service.py": service(options=f"({option})")}))
    assert sentence in problem
    assert problem.endswith("mail_service.py:8)")


def test_a_service_outside_of_the_queues_folders_is_told(make: Make) -> None:
    files = {"mail_service.py": service(), "smtp_service.py": "", "default/x_service.py": service()}
    package = make(files)
    assert problems(package) == [
        f"{package}.mail_service: stands in no queue's folder; "
        f"move it to {package}/<queue>/mail_service.py"
    ]


def test_a_missing_import_of_a_service_is_told_with_its_line(make: Make) -> None:
    package = make({"default/mail_service.py": "\nimport nowhere_to_be_found"})
    [problem] = problems(package)
    assert "No module named 'nowhere_to_be_found'" in problem
    assert problem.endswith("mail_service.py:2)")


def test_a_syntax_error_is_told_with_its_own_line_only(make: Make) -> None:
    [problem] = problems(make({"default/mail_service.py": "def run(:"}))
    assert "raises SyntaxError at import" in problem
    assert problem.endswith("(mail_service.py, line 1)")


def test_a_service_that_exits_does_not_end_the_process(make: Make) -> None:
    [problem] = problems(make({"default/mail_service.py": "raise SystemExit(3)"}))
    assert "raises SystemExit at import: 3" in problem


def test_two_jobs_of_one_name_are_told_with_both_places(make: Make) -> None:
    package = make(
        {
            "default/mail_service.py": service(),
            "default/post_service.py": service(options='(name="mail")'),
        }
    )
    [problem] = problems(package)
    assert "the queue 'default' has a job 'mail' already" in problem
    assert f"{package}.default.mail_service.run" in problem
    assert f"{package}.default.post_service.run" in problem


def test_the_same_name_on_two_queues_is_no_problem(make: Make) -> None:
    files = {"default/mail_service.py": service(), "scheduled/mail_service.py": service()}
    assert discover(make(files)).queues() == {"default", "scheduled"}


def test_everything_that_is_wrong_is_listed_at_once(make: Make) -> None:
    package = make(
        {
            "default/a_service.py": "raise ValueError('a')",
            "default/b_service.py": "x = 1",
            "default/c_service.py": service().replace("order: Order", "order: int"),
            "default/d_service.py": service(),
            "default/e_service.py": service(options='(name="d")'),
        }
    )
    found = "\n".join(problems(package))
    assert found.count("\n") == 3
    for words in ("raises ValueError", "without a job", "no JSON object", "has a job 'd' already"):
        assert words in found


def test_a_package_without_services_is_told(make: Make) -> None:
    package = make({"__init__.py": ""})
    assert problems(package) == [
        f"{package}: no services found; put one into {package}/<queue>/<job>_service.py"
    ]


def test_a_package_that_is_not_there_is_told_with_what_to_do() -> None:
    [problem] = problems("nowhere_to_be_found")
    assert problem == (
        "nowhere_to_be_found: no such package; make nowhere_to_be_found/<queue>/<job>_service.py "
        "in the current folder, or say with BULLQ_APP where the jobs are"
    )


def test_a_package_that_raises_is_told(make: Make) -> None:
    package = make({"__init__.py": "1 / 0"})
    [problem] = problems(package)
    assert problem.startswith(f"{package}: raises ZeroDivisionError at import: division by zero (")


def test_a_module_is_no_package_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "just_a_module.py").write_text("")
    assert problems("just_a_module") == [
        "just_a_module: is a module; a package of jobs is a folder"
    ]
    del sys.modules["just_a_module"]
