"""The studio's page: ``streamlit run streamlit_app.py``, or ``make studio``."""

from pathlib import Path

import streamlit as st

from studio import ui
from studio.ui import style

# By the package and not by this file: an installed studio has this file inside the package.
PAGES = Path(ui.__file__).parent / "pages"

st.set_page_config(page_title="Studio", page_icon="👕", layout="wide", initial_sidebar_state="collapsed")
style.apply()
st.navigation(
    [
        st.Page(PAGES / "tryon.py", title="Try-on", url_path="tryon", default=True),
        st.Page(PAGES / "building.py", title="Building", url_path="building"),
        st.Page(PAGES / "object.py", title="Object", url_path="object"),
        st.Page(PAGES / "check.py", title="Check", url_path="check"),
        st.Page(PAGES / "responsible_use.py", title="Responsible use", url_path="responsible-use"),
    ],
    position="top",
).run()
