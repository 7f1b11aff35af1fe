"""The lists joined: each name of the contract has a reference, a twin, a record and a theorem; each label has a claim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import accelerated
import accelerated.port as TWIN
import reference
from properties import AGENT_CLAIMS, CLAIMS, OPERATORS
from properties._claim import CONCEPTS
from properties._explain import explain

CONTRACT = {
    "bellman": """action_values evaluation_backup optimality_backup q_evaluation_backup q_optimality_backup soft_backup
        expectile_backup sarsa_expectile_backup sampled_backup solve_policy solve_optimal value_iteration q_value_iteration""",
    "targets": """value_target q_learning_target sarsa_target expected_sarsa_target double_q_target clipped_double_target
        soft_target sampled_target smoothed_action""",
    "returns": "discounted_returns n_step_returns lambda_returns gae margin_returns",
    "expectiles": "expectile_loss expectile_loss_gradient expectile pinball_loss",
    "aggregates": "log_mean_exp log_mean_exp_gradient max_aggregate mean_aggregate",
    "advantage_weights": """sampled_advantage exponential_weights normalized_weights weighted_policy_loss
        weighted_policy_loss_gradient improved_policy""",
    "exploration": """greedy epsilon_greedy boltzmann factorised_noise noisy_linear sample_epsilon_greedy sample_boltzmann
        sample_layer_noise""",
    "overestimation": "max_bias_bound expected_maximum double_estimate",
    "dueling": "dueling_value dueling_value_gradient",
    "target_networks": "polyak_update",
    "priorities": "priority sampling_probabilities importance_weights sum_tree sample_proportional",
    "categorical": "categorical_projection categorical_loss categorical_loss_gradient",
    "gaussians": """gaussian_log_prob gaussian_entropy gaussian_kl gaussian_score tanh_gaussian_log_prob tanh_action sample_gaussian
        sample_tanh_gaussian""",
    "policy_gradient": """reinforce_loss reinforce_loss_gradient clipped_surrogate clipped_surrogate_gradient
        deterministic_policy_gradient compatible_features soft_policy_loss soft_policy_loss_gradient temperature_loss
        temperature_loss_gradient""",
    "control_variates": "taylor_control_variate control_variate_weight q_prop_gradient mixed_gradient",
    "trust_region": "conjugate_gradient fisher_vector_product natural_step backtracking_search",
    "action_search": "cem_refit cross_entropy_search gradient_search",
}
NAMES = [(concept, name) for concept, names in CONTRACT.items() for name in names.split()]

LABELS = """B1 B2 B3 B4 B5 B6 B8 B9 B10 B11 R1 R2 R3 R4 R5 X1 X2 X3 M1 M2 M3 M4 M5 M6 D1 T1 P1 P2 P3 P4 C1 C2 C3 A1 A2 A3 A4 A5
    S1 S2 S3 I1 I2 I3 I4 I5 I6 I7 I8 I9 W1 W2 W3 W4 W5 W6 W7 W8 W9 G1 Q1 Q2 Q3 Q4 Q5 Q6 Q7 Q8 U1 U2 U3 K1
    F1 F2 F3 F4 F5 F6""".split()
LEARNERS = "B7 M6 I9 T1 P5 W10".split()
"""The list's claims that are about agents and their memory, or about these, too."""


@pytest.mark.parametrize(("concept", "name"), NAMES)
def test_a_name_of_the_contract_exists_three_times(concept: str, name: str) -> None:
    assert name in reference.__all__, "no reference"
    assert name in accelerated.__all__ or callable(getattr(TWIN, name)), "no twin"
    assert OPERATORS[name].concept in (concept, "finite_mdps"), "no record among its concept's claims"
    theorems = [claim for claim in CLAIMS.values() if claim.kind == "theorem" and name in claim.operators]
    assert theorems, "no theorem"


def test_the_contract_is_all_there_is() -> None:
    assert {name for _, name in NAMES} == set(reference.__all__) == set(OPERATORS)


@pytest.mark.parametrize("label", LABELS)
def test_every_label_of_the_list_is_tried(label: str) -> None:
    assert [claim.name for claim in CLAIMS.values() if claim.label == label and claim.kind == "theorem"]


@pytest.mark.parametrize("label", LEARNERS)
def test_every_label_of_learners_is_tried_on_agents(label: str) -> None:
    assert [claim.name for claim in AGENT_CLAIMS.values() if claim.label == label]


def test_claims_bear_labels_of_the_list_or_their_concepts_name() -> None:
    assert {claim.label for claim in CLAIMS.values()} - {*LABELS, *CONCEPTS, "agreement", "errata", "units", "functions"} == set()
    assert {claim.label for claim in AGENT_CLAIMS.values()} - {*LABELS, *LEARNERS, "agents"} == set()


@pytest.mark.parametrize("name", OPERATORS)
def test_explain_renders_an_operator_with_its_claims(name: str) -> None:
    text = explain(name)
    assert "raises" in text and "source" in text and "error bound" in text
    assert all(claim.name in text for claim in CLAIMS.values() if name in claim.operators and claim.kind == "theorem")


def test_every_erratum_of_the_readme_is_shown_by_a_claim() -> None:
    section = (Path(__file__).parent.parent / "README.md").read_text().split("## What papers and lectures print wrongly")[1]
    rows = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("| ") and "as printed" not in line]
    assert len(rows) >= 15
    for row in rows:
        named = re.findall(r"`(\w+)`", row.rsplit("|", 2)[1])
        assert named and set(named) <= set(CLAIMS), row
