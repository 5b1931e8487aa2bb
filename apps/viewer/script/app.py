"""Run anew by Streamlit for every session and every change."""

from apps.viewer.main import main

main()
