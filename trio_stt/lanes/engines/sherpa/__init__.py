"""sherpa"""
