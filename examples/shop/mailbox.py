"""Write emails from templates, and put them into a folder as other shops send them."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime
from string import Template

from examples.shop.folder import data_folder, write_whole
from examples.shop.templates import read_template

SENDER = "The Shop <hello@shop.example>"


def compose(template: str, to: str, **values: object) -> EmailMessage:
    """Fill a template in; its first line is the subject, the rest is the text."""
    subject, _, body = Template(read_template(template)).substitute(values).partition("\n")
    message = EmailMessage(policy=SMTP)
    message["From"] = SENDER
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = localtime()
    message.set_content(body.lstrip("\n"))
    return message


def deliver(message: EmailMessage, key: str) -> str:
    """Send a message once per *key* and give its id; a job that runs again sends no second one."""
    message_id = f"<{key}@shop.example>"
    file = data_folder("mail") / f"{key}.eml"
    if not file.exists():
        message["Message-ID"] = message_id
        write_whole(file, message.as_bytes())
    return message_id


def thank(order_id: int, email: str, tracking: str) -> str:
    """Ask a customer how it was, and give the message's id."""
    return deliver(compose("thanks.txt", email, tracking=tracking), f"thanks-{order_id}")
