"""Settings of the application on django-eventstream, as its README has them for reliable events.

The events are in a database (`DjangoModelStorage`): each has an id, the publishes say the id
before, and whoever was away asks for what it missed. GRIP_URL comes from the test.
"""

import os
import tempfile

SECRET_KEY = "only-for-tests, at least 32 bytes long"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
MIDDLEWARE = ["recorder.Recorder", "django_grip.GripMiddleware"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_eventstream",
]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
APPEND_SLASH = False

# Removed at the end of the process.
_directory = tempfile.TemporaryDirectory(prefix="eventstream-")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(_directory.name, "events.sqlite3"),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
    }
}

EVENTSTREAM_STORAGE_CLASS = "django_eventstream.storage.DjangoModelStorage"

GRIP_URL = os.environ["GRIP_URL"]
GRIP_PROXY_REQUIRED = False
