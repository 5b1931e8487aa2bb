"""The viewer: a Streamlit app around a component that holds whole volumes in the browser."""
