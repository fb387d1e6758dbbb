"""realtimestt"""
