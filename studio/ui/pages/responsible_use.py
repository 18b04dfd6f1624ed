"""Responsible use: consent, minors, no undressing. Short, because it is meant to be read."""

import streamlit as st

st.title("Responsible use")
st.markdown(
    """
A try-on picture shows a real person in clothes they never wore. Four rules keep that fair.

**Ask first.** Use photos of yourself, or of people who said yes to this use: to being edited, and to where the
picture will be shown. A photo found on the internet is not a yes.

**No minors.** Do not dress pictures of children or teenagers. The studio cannot tell anyone's age; that decision is
yours.

**No undressing.** The studio puts a garment on; it is not made to take one off. Do not use it, or change its mask, to
suggest nudity, to sexualise someone, or to mock them.

**Say that it is edited.** Every file made here carries its recipe and a receipt of which pixels changed. Leave them
in when you share the picture, and in a shop say that the fit is a picture, not a measurement: the studio does not
know how a garment will sit on a body, and skin it had to invent says nothing about the person.

#### When you check pictures

A score is weak evidence: edits that were saved or shrunk afterwards are often missed, and untouched pictures
sometimes score high. Do not accuse anybody on one; ask for the original file. A seal says who signed a file, not
that what it shows is true.

#### What happens with the photos

They stay on this computer. Nothing is uploaded and no statistics are sent. Your photos lie in the studio's own
folder, so that a recipe can be run again; when somebody asks, delete them there too. Place and camera serial numbers
in a photo do not get into the results. Deleting a result moves it into the studio's trash for 30 days.

#### Whose garment, whose weights

A garment's photo or print may belong to someone. And weights have licences of their own: the receipt beside each
result names them, and says whether commercial use is allowed. "Unclear" means nobody could tell us; treat it as a no
until you have asked.
"""
)
