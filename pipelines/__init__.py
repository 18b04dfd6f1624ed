"""The science: seven published systems and what they share. Imports neither `studio` nor Streamlit nor a network."""
