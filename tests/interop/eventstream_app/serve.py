"""Serves the application on django-eventstream on the socket inherited as file descriptor 3.

With waitress: many connections, few threads, so that a crowd of clients is one for the server
under test, and not for Python.
"""

import os
import socket
import sys

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from waitress import serve


def main():
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    call_command("migrate", verbosity=0)
    listener = socket.socket(fileno=3)
    serve(
        get_wsgi_application(),
        sockets=[listener],
        threads=8,
        # A crowd connects at once: nobody's connecting is to be tried again seconds later.
        backlog=4096,
        connection_limit=10_000,
        channel_timeout=300,
        asyncore_use_poll=True,
    )


main()
