"""Settings of the Django application; GRIP_URL comes from the test."""

import os

SECRET_KEY = "only-for-tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "views"
MIDDLEWARE = ["django_grip.GripMiddleware"]
INSTALLED_APPS = []
DATABASES = {}
USE_TZ = True
APPEND_SLASH = False

GRIP_URL = os.environ["GRIP_URL"]
GRIP_PROXY_REQUIRED = True
