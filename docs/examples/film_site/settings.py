from __future__ import annotations

import os

ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = ["film_site"]
ROOT_URLCONF = "film_site.urls"
TIME_ZONE = "UTC"  # Django's default is Chicago, for the whole process
SECRET_KEY = os.environ.get("SECRET_KEY", "of no use: nothing is signed")

PERSONALIZE_CAMPAIGN_ARN = os.environ.get(
    "CAMPAIGN_ARN", "arn:aws:personalize:eu-west-1:123456789012:campaign/movies-ranking"
)
PERSONALIZE_TRACKING_ID = os.environ.get("TRACKING_ID", "00000000-0000-4000-8000-000000000001")
