"""Serves a Django application on the socket that it inherits as file descriptor 3.

`serve.py DIRECTORY`: where its settings.py is. One with a database is given its tables first.
"""

import os
import socket
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application


class InheritedServer(ThreadedWSGIServer):
    daemon_threads = True

    def server_bind(self):
        self.socket.close()
        self.socket = socket.socket(fileno=3)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()

    def server_activate(self):
        pass


def main():
    sys.path.insert(0, sys.argv[1])
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    if settings.DATABASES:
        call_command("migrate", verbosity=0)
    server = InheritedServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    server.serve_forever()


main()
