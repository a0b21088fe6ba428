from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from . import personalization


@require_GET
def search(request: HttpRequest) -> JsonResponse:
    """Films that a search found, in the order that suits the visitor."""
    found = request.GET.getlist("film")  # your search goes here
    visitor = request.COOKIES.get("visitor")
    if not found or visitor is None:
        return JsonResponse({"films": found, "recommendation_id": None})
    ranking = personalization.movies().rank(visitor, found)
    return JsonResponse({"films": ranking.item_ids, "recommendation_id": ranking.recommendation_id})
