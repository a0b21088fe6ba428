"""The page of an embedded service: campaigns, users, items, rankings, filters, requests and faults, in a browser.

``personalize-rt serve`` answers a browser with it on ``/``, and ``local.console()`` opens it for a service of this
process; see ``docs/how-to/console.md``. It is imported with the first request of a browser, and needs Jinja2 beside
what the server needs.

* ``page``: the routes, who may ask, and the headers of all answers.
* ``catalogue``: users and items, numbered, so that no address names one.
* ``asking``: the form of "rank this list for that user", and its answers.
* ``trial``: a filter expression while it is typed.
* ``python``: the Python that does what a view did.
* ``saved``: what a form held, behind a link that says nothing.
* ``opened``: a server for one embedded service in this process.
"""
