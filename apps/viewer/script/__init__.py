"""The script that Streamlit runs, in a folder of its own.

Streamlit puts the script's folder first among the places of imports, and takes a folder `pages` beside the script for
pages of an older kind: neither is wanted.
"""
