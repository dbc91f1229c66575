"""Stages that turn a base into a judge: recipe, run folder, trainers."""
