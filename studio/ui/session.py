"""What a page holds about one browser session: a frozen dataclass that is replaced, never changed."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Generic, TypeVar, cast

import streamlit as st

State = TypeVar("State")  # a frozen dataclass


class Session(Generic[State]):
    """The state of one page.

    Args:
        key: Its place in Streamlit's session state.
        kind: A frozen dataclass whose fields all have defaults.
    """

    def __init__(self, key: str, kind: type[State]) -> None:
        self._key, self._kind = key, kind

    def get(self) -> State:
        """The state of this browser session."""
        if self._key not in st.session_state:
            st.session_state[self._key] = self._kind()
        return st.session_state[self._key]

    def update(self, **changes: Any) -> None:
        """Replace some fields; TypeError on a field that does not exist."""
        unknown = set(changes) - {item.name for item in fields(cast(Any, self._kind))}
        if unknown:
            raise TypeError(f"no such state: {', '.join(sorted(unknown))}")
        st.session_state[self._key] = replace(cast(Any, self.get()), **changes)
