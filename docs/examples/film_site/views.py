from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from personalize_rt import ValidationError

from . import personalization


@require_GET
def search(request: HttpRequest) -> JsonResponse:
    """Films that a search found, in the order that suits the visitor."""
    found = request.GET.getlist("film")  # your search goes here
    visitor = request.COOKIES.get("visitor")
    if not found or not visitor:
        return JsonResponse({"films": found, "recommendation_id": None})
    try:
        ranking = personalization.movies().rank(visitor, found)
    except ValidationError as error:  # an id of 300 characters, 501 films
        return refused(error)
    return JsonResponse({"films": ranking.item_ids, "recommendation_id": ranking.recommendation_id})


@require_POST
def watched(request: HttpRequest) -> HttpResponse:
    """A film that the visitor watches; the page sends its recommendation id along."""
    try:
        # It puts the event into a queue, and waits for nothing.
        personalization.tracker().track(
            "Watch",
            request.POST.get("film"),
            session_id=request.COOKIES.get("visit", ""),
            user_id=request.COOKIES.get("visitor") or None,
            recommendation_id=request.POST.get("recommendation_id") or None,
        )
    except ValidationError as error:
        return refused(error)
    return HttpResponse(status=202)


def refused(error: ValidationError) -> JsonResponse:
    """The answer to a request that is wrong; the message shows no value of it."""
    return JsonResponse({"parameter": error.parameter, "message": error.message}, status=422)
