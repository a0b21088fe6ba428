"""A Django application that shows films in the order that suits whoever looks at them."""
