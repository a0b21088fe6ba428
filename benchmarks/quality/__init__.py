"""How good rankings are, measured beside other libraries; see ``__main__``."""
