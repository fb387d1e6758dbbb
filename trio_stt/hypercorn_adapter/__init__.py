"""hypercorn_adapter"""
