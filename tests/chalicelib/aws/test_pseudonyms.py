"""The pepper: made once a stage, unwrapped once a container, never stored in the clear."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.aws.dynamo import DynamoTable
from chalicelib.aws.pseudonyms import KmsPseudonyms
from chalicelib.lineage.items import Key


def container(stage):
    """Pseudonyms as a new container has them."""
    aws.forget()
    return aws.open_pseudonyms(stage.settings)


def test_every_container_of_a_stage_gives_the_same_pseudonyms(stage):
    first, second = container(stage), container(stage)

    assert first is not second
    assert first.actor("ada") == second.actor("ada")
    assert first.subject("ada") == second.subject("ada")
    assert first.commitment("ada") == second.commitment("ada")
    assert len({first.actor("ada"), first.subject("ada"), first.commitment("ada")}) == 3


def test_only_the_wrapped_pepper_is_stored(stage):
    pseudonyms = container(stage)
    pseudonyms.actor("ada")

    stored = DynamoTable(stage.dynamodb, "lineage").get(Key("PEPPER", "PEPPER"))

    pepper = pseudonyms._keyed.pepper
    assert len(pepper) == 32
    assert pepper not in stored["wrapped"]


def test_the_pepper_is_unwrapped_once_a_container(stage):
    container(stage).actor("ada")
    pseudonyms, calls = container(stage), []
    pseudonyms._kms.meta.events.register("before-call.kms.*", lambda model, **_: calls.append(model.name))

    for name in ("ada", "grace", "edsger"):
        pseudonyms.actor(name)

    assert calls == ["Decrypt"]


def test_two_containers_that_make_the_pepper_at_once_agree(stage, monkeypatch):
    winner, loser = container(stage), container(stage)
    made = winner.actor("ada")
    # The loser looked before the winner had put its pepper.
    look, looks = loser._stored, []
    monkeypatch.setattr(loser, "_stored", lambda: look() if looks else looks.append(1))

    assert loser.actor("ada") == made


def test_threads_of_one_container_unwrap_it_together(stage):
    pseudonyms, made = container(stage), []
    threads = [threading.Thread(target=lambda: made.append(pseudonyms.actor("ada"))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 8
    assert len(set(made)) == 1


def test_a_pepper_copied_to_another_stage_stays_shut(stage):
    container(stage).actor("ada")
    table = DynamoTable(stage.dynamodb, "lineage")
    other = replace(stage.settings, stage="other")

    thief = KmsPseudonyms(stage.kms, table, key_id=other.pepper_key_id, stage=other.stage)

    with pytest.raises(ClientError, match="InvalidCiphertext"):
        thief.actor("ada")
