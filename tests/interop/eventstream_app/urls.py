"""The events of django-eventstream, and what a test does to them."""

import os
from pathlib import Path

import recorder
from django.db.models.signals import post_save
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django_eventstream import send_event
from django_eventstream.models import Event
from django_eventstream.utils import get_storage, publish_kick

post_save.connect(recorder.has_stored, sender=Event)

@csrf_exempt
def send(request, channel):
    """Stores and publishes each line of the body as an event; `skip` names users to leave out."""
    skip = request.GET.getlist("skip")
    for line in request.body.decode().splitlines():
        send_event(
            channel, "message", line, skip_user_ids=skip, async_publish=False, json_encode=False
        )
    return HttpResponse("ok\n")


@csrf_exempt
def store(request, channel):
    """Stores each line of the body as an event, as if its publish had been lost on the way."""
    for line in request.body.decode().splitlines():
        get_storage().append_event(channel, "message", line)
    return HttpResponse("ok\n")


@csrf_exempt
def kick(request, channel):
    """Tells the proxy that nobody may read a channel any more."""
    publish_kick("anonymous", channel)
    return HttpResponse("ok\n")


def stored(request, channel):
    return JsonResponse(recorder.stored(channel))


def asked(request):
    return JsonResponse(recorder.take(), safe=False)


def page(request):
    return HttpResponse(Path(os.environ["PAGE"]).read_text())


urlpatterns = [
    path("events/", include("django_eventstream.urls")),
    path("send/<channel>/", send),
    path("store/<channel>/", store),
    path("kick/<channel>/", kick),
    path("stored/<channel>/", stored),
    path("asked/", asked),
    path("page/", page),
]
