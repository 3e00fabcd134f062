"""Datasets: what can be exported, and what was."""

from fastapi import APIRouter

router = APIRouter()
