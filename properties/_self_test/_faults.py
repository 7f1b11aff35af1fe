"""Faults in the verifier: one line changed, each so that some verdict would be wrong; the self-check must notice every one."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """In this function of this module of properties, the text `old` reads `new`; `processes`: it shows when processes run."""

    story: str
    module: str
    function: str
    old: str
    new: str
    processes: bool = False


FAULTS = (
    # ------------------------------------------------------------------------------------------------------ comparisons
    Fault("every comparison accepts", "_trial", "Trial._compare", "if np.any(wrong):", "if False:"),
    Fault("NaN is within any bound", "_trial", "Trial._compare", "~(error <= bound)", "error > bound"),
    Fault("bounds a thousand times too wide", "_trial", "Trial._compare", "dtype=np.float64)", "dtype=np.float64) * 1e3"),
    Fault("arrays of two shapes are equal", "_trial", "Trial.equal", "if found.shape != due.shape:", "if False:"),
    Fault("nothing exceeds at_most", "_trial", "Trial.at_most", "np.where(left <= right, 0.0,", "np.where(left <= left, 0.0,"),
    Fault(
        "at_most refuses what is within its slack", "_trial", "Trial.at_most",
        "self._compare(excess, slack,", "self._compare(excess, 0.0,",
    ),
    Fault("every condition holds", "_trial", "Trial.holds", "if not condition:", "if False:"),
    Fault(
        "an infinite error counts nothing", "_trial", "_distance",
        "np.where(found == due,", "np.where((found == due) | np.isinf(due),",
    ),
    Fault("fractions are equal to anything", "_trial", "_distance", "abs(float(Fraction(f) - d))", "0.0"),
    Fault("float64 is judged by bfloat16's bound", "_trial", "Trial.error", "UNIT[COMPUTED_IN[dtype]]", "2.0 ** -8"),
    Fault("the reference may be as wrong as bfloat16", "_trial", "Trial.reference_error", 'UNIT["float64"]', "2.0 ** -8"),
    Fault("Higham's gamma a thousand times too large", "_bounds", "gamma", "* unit", "* unit * 1e3"),
    Fault("storing a result costs 1", "_bounds", "stored", "+ TINY[dtype]", "+ 1.0"),
    Fault("complex numbers are real", "_trial", "widened", 'not in "fbiu"', 'not in "fbiuc"'),
    # ------------------------------------------------------------------------------------------------------------ asking
    Fault("the reference answers for the port", "_trial", "Trial._call", "if name != self.subject:", "if True:"),
    Fault("the port is compared with itself", "agreement", "_due", "due = port.reference(call)", "due = port.result(call)"),
    Fault("an exception is a declined call", "_trial", "Trial.timed", "raise self.refutation(", "raise Declined("),
    Fault("bad input is never tried", "_trial", "Trial.outcome", '== "unchecked"', '!= "unchecked"'),
    Fault(
        "a port is asked on numbers that its type does not hold", "_bounds", "rounded",
        'if value.dtype.kind == "f"', "if False",
    ),
    Fault("a float32 port is asked in float64", "_trial", "travelling", "return value.astype(native)", "return value"),
    Fault("bad input is made of nothing", "agreement", "_spoilt", "in bad_calls(port.subject, call):", "in ():"),
    # -------------------------------------------------------------------------------------------------------------- runs
    Fault("what is absent holds", "_run", "run", "verdict=ABSENT", "verdict=HOLDS"),
    Fault("what is undecided holds", "_run", "run", "verdict=UNDECIDED", "verdict=HOLDS"),
    Fault("refutations are forgotten", "_run", "run", "if search.refuted is not None:", "if False:"),
    Fault("what was never answered holds", "_run", "run", "if search.declines and not trial.answered:", "if False:"),
    Fault(
        "an infinite bound allows any number where an infinity is due", "_trial", "Trial.equal",
        "np.isinf(due) & (found != due)", "np.isinf(due) & False",
    ),
    Fault("one example is tried", "_run", "_Search.everything", "max(1, round(self.effort.examples * self.claim.share))", "1"),
    Fault(
        "named tables are not tried", "_run", "_Search.everything",
        "if self.effort.table_examples else ()", "if False else ()",
    ),
    Fault("a declared convention excuses every claim", "_ports", "Port.excuse", "if claim in each.excuses]", "]"),
    Fault(
        "a declared convention declines every call", "_conventions", "Convention._declines",
        "return self.declines(operator, call)", "return True",
    ),
    Fault(
        "what is not offered is offered by the reference", "_ports", "Port.operator",
        "if not callable(found):", "if not callable(found) and not (found := getattr(reference, name, None)):",
    ),
    Fault("time never runs out", "_run", "_Search.start_example", "if time.monotonic() > self.deadline:", "if False:"),
    # ------------------------------------------------------------------------------------------------------------ chance
    Fault("no evidence raises an alarm", "_statistics", "Judgement.alarmed", "-np.log(self.mean.alpha)", "np.inf"),
    Fault("every mean is proved", "_statistics", "Judgement.proved", "-np.log(MISSED)", "-np.inf"),
    Fault(
        "alarms a thousand times too easy", "_ledger", "Entry.alpha",
        "return RUN_BUDGET * self.share", "return 1e3 * RUN_BUDGET * self.share",
    ),
    Fault("shares may exceed the budget", "_ledger", "enter", "or total > SHARED_OUT * own_rounding(len(LEDGER) + 1)", ""),
    Fault("effects may drown in rounding", "_ledger", "enter", "if not 2 * max(", "if False and not 2 * max("),
    Fault("an alarm refutes nothing", "_sampled", "judge", "if judgement.alarmed.any():", "if False:"),
    Fault("a case left open is closed", "_sampled", "judge", "if left:", "if False:"),
    Fault("cases are kept off the account", "_sampled", "judge", "port.evidence.append(record._asdict())", "pass"),
    Fault("every batch is the first again", "_sampled", "_judged", ":{batch}", ":0"),
    Fault("evidence is summed, not averaged", "_statistics", "mixture", "np.log(np.mean(", "np.log(np.sum("),
    Fault("a tenth of the draws is planned", "_statistics", "plan", "draws = int(max(", "draws = int(0.1 * max("),
    Fault(
        "bets cost nothing when lost", "_statistics", "Capital.__init__",
        "np.log1p(-bets * centre)", "np.log1p(0 * bets * centre)",
    ),
    # ----------------------------------------------------------------------------------------------------- plan and exits
    Fault(
        "theorems are not planned", "_runner", "plan",
        "for claim in chosen", 'for claim in chosen if claim.kind == "agreement"',
    ),
    Fault("no port is compared with the reference", "_runner", "plan", "(is_reference and claim.name ==", "(claim.name =="),
    Fault(
        "the reference is compared with itself", "_runner", "plan",
        "(is_reference and claim.name ==", "(False and claim.name ==",
    ),
    Fault(
        "one type only is tried", "_runner", "_dtypes_of",
        "return types if claim.every_dtype else", "return types[:1] if claim.every_dtype else",
    ),
    Fault("failures do not fail", "_report", "Reporter.failures", "result.verdict == FAILS", "False"),
    Fault(
        "undecided reads as checked", "_report", "Reporter.incomplete",
        "if verdicts[UNDECIDED] or len(self.results) < len(self.tasks):", "if len(self.results) < len(self.tasks):",
    ),
    Fault("lost verdicts are not missed", "_report", "Reporter.incomplete", "or len(self.results) < len(self.tasks)", ""),
    Fault("nothing checked is all right", "_report", "Reporter.incomplete", "verdicts[HOLDS] + verdicts[FAILS] == 0", "False"),
    Fault("what is required may be absent", "_report", "Reporter.incomplete", "if required:", "if False:"),
    Fault("exit status 0, come what may", "_report", "Reporter.status", "1 if self.failed else", "0 if self.failed else"),
    Fault("a run that is incomplete exits as one that holds", "_report", "Reporter.status", "2 if self.incomplete else 0", "0"),
    # --------------------------------------------------------------------------------------------------------- processes
    Fault("a crash holds", "_runner", "Run._died", "yield _verdict(task, FAILS,", 'yield _verdict(task, "holds",', True),
    Fault("nothing ever hangs", "_runner", "Run._listen", "> self.setting.patience]", "> 1e9]", True),
    Fault(
        "what was not reached is not mentioned", "_runner", "Run._give_up",
        "for task in self._waiting:", "for task in ():", True,
    ),
    Fault("what was running is not mentioned", "_runner", "Run._give_up", "if worker.task is not None:", "if False:", True),
    # --------------------------------------------------------------------------------------------------------- diagnosis
    Fault("what is right is diagnosed", "_diagnosis", "explains", "return different", "return True"),
    Fault("any bug explains any answer", "_diagnosis", "explains", "return False", "pass"),
    Fault(
        "answers are always alike", "_answers", "_within",
        "if one.shape != two.shape:", "return True\n    if one.shape != two.shape:",
    ),
    Fault(
        "answers are never alike", "_answers", "_within",
        "if one.shape != two.shape:", "return False\n    if one.shape != two.shape:",
    ),
    Fault("nothing is ever diagnosed", "_diagnosis", "diagnosed", "return ids", "return ()"),
    Fault("probes are not asked", "_diagnosis", "diagnosed", "*_probed(trial), ", ""),
    Fault(
        "the counterexample is not looked at", "_diagnosis", "diagnosed",
        "if OPERATORS[trial.subject].compared else ()", "if False else ()",
    ),
    Fault("a narrow port is a stranger", "_diagnosis", "_in_single_precision", "and not exact", "and exact"),
    Fault(
        "one explained failure explains all", "_likeness", "_explained",
        "set.intersection(*sets)", "set.union(*sets)",
    ),
    Fault(
        "the first of several is taken", "_likeness", "_explained",
        "tuple(sorted(set.intersection(*sets)))", "tuple(sorted(set.intersection(*sets)))[:1]",
    ),
    Fault("wrong answers are a matter of manners", "_likeness", "_explained", "if not telling:", "if True:"),
)  # fmt: skip
