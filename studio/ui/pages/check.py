"""Is this picture what it says: drop pictures, see heat map, seal, history and traces."""

from __future__ import annotations

import streamlit as st

from studio.ui import notices
from studio.ui.checking import stage

st.title("Check it", anchor=False)
st.markdown(
    "Is a picture what it says? Two answers that are never mixed: what a network sees in the pixels, which is weak "
    "evidence, and who signed the file, which says nothing about what it shows."
)
notices.show_queue()

left, right = st.columns([5, 8], gap="large")
with left:
    stage.pictures_step()
with right, st.container(key="stage"):
    stage.show()

st.caption(
    "No score is a proof, in neither direction. Do not publish an accusation on it; ask for the original file, and for "
    "somebody who knows the picture."
)
