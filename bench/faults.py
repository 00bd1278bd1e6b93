"""Fails each libc call of a daemon that shares, or fetches, with each error that it can get.

faults.py [--side get|share] [--kinds KIND,...] [--every-call] [--memory ROUNDS] [--dir DIR]

For each call site that a run without faults visits, and each error: the scenario of
tests/support/p2p_fault_scenario.py with its first call failing, and with one in the middle of them.
Then, for each site that only a run with a fault visits: the same fault, and after it that site's.
--every-call: for each kind and error, the Nth call for N = 1, 2, 3 ... until a run meets none.
--memory: instead, in each of so many rounds an allocation fails, any of the first 18,000 of a run.
Prints a line for each kind, the sites with what was injected there, and what was broken.
"""
import argparse
import collections
import errno
import random
import sys
import tempfile
import time

import p2p_call_faults as call_faults
from p2p_fault_scenario import Broken, FaultsInGet, FaultsInShare
from p2p_harness import program

SIDES = {"get": FaultsInGet, "share": FaultsInShare}


class Table:
    def __init__(self):
        self.injected = collections.Counter()  # (site, error): faults
        self.visited = collections.Counter()  # site: calls
        self.allocations = 0  # that failed
        self.broken = []
        self.runs = 0

    def run(self, scenario, side, error, **rule):
        """Whether a fault was met."""
        faults = scenario.faults
        faults.arm(error=0 if error is None else error, **rule)
        self.runs += 1
        try:
            scenario.run()
        except Broken as problem:
            where = faults.last_site
            self.broken.append((side, where, error, rule, problem))
            print(f"BROKEN {side} {call_faults.kind_of(where) if where else ''} "
                  f"{error and call_faults.name_of(error)} {rule}: {problem}", flush=True)
        faults.disarm()
        for site, (calls, injected) in faults.sites().items():
            self.visited[site] += calls
            then_site, then_error = rule.get("then") or (0, 0)
            given = then_error if site == then_site else error
            if given is not None and injected:
                self.injected[site, given] += injected
        return faults.injected > 0

    def every_site(self, scenario, side, kinds):
        self.run(scenario, side, None)
        calls = dict(scenario.faults.sites())
        # What deals with a fault makes calls that nothing else makes: by which fault each was seen.
        after = {}

        def fail(error, **rule):
            self.run(scenario, side, error, **rule)
            for found in scenario.faults.sites():
                if found not in calls and found not in after:
                    after[found] = (error, rule)

        for site in sorted(calls):
            kind = call_faults.kind_of(site)
            if kind not in kinds or call_faults.module_of(site) == call_faults.OTHERS:
                continue
            for error in call_faults.errors_of(kind):
                for number in sorted({1, calls[site][0] // 2 + 1}):
                    fail(error, kinds=kind, nth=number, site=site)
        done = set()
        while todo := sorted(set(after) - done):
            for site in todo:
                done.add(site)
                kind = call_faults.kind_of(site)
                if kind not in kinds or call_faults.module_of(site) == call_faults.OTHERS:
                    continue
                first_error, rule = after[site]
                for error in call_faults.errors_of(kind):
                    # A second fault on the way to it is not repeated.
                    fail(first_error, **{**rule, "then": (site, error)})

    def every_call(self, scenario, side, kinds):
        for kind in kinds:
            for error in call_faults.errors_of(kind):
                number = 1
                while self.run(scenario, side, error, kinds=kind, nth=number):
                    number += 1

    def memory(self, scenario, side, rounds):
        scenario.may_abort = True
        everyone = (call_faults.PROGRAM, call_faults.SQLITE, call_faults.OTHERS)
        for _ in range(rounds):
            self.run(scenario, side, errno.ENOMEM, kinds="malloc",
                     nth=random.randint(1, 18_000), modules=everyone)
            self.allocations += scenario.faults.injected

    def report(self):
        described = call_faults.describe_sites(self.visited, program("p2pd"))
        ours = [s for s in self.visited if call_faults.module_of(s) != call_faults.OTHERS]
        print(f"\n{'call':16} {'sites':>5} {'calls':>8} {'faults':>7}  errors")
        for kind in call_faults.KINDS:
            sites = [s for s in ours if call_faults.kind_of(s) == kind]
            if not sites:
                continue
            counts = collections.Counter()
            for (site, error), count in self.injected.items():
                if call_faults.kind_of(site) == kind:
                    counts[error] += count
            errors = " ".join(f"{call_faults.name_of(e)}:{n}" for e, n in counts.items())
            print(f"{kind:16} {len(sites):5} {sum(self.visited[s] for s in sites):8} "
                  f"{sum(counts.values()):7}  {errors or '-'}")
        print("\nsites that were not given every error of their call:")
        for site in sorted(ours):
            errors = call_faults.errors_of(call_faults.kind_of(site))
            missing = [call_faults.name_of(e) for e in errors if not self.injected[site, e]]
            if missing:
                print(f"  {call_faults.kind_of(site)} {described[site]}: {' '.join(missing)}")
        print("\nleft out:\n" + call_faults.WHY_LEFT_OUT)
        for side, site, error, rule, problem in self.broken:
            print(f"\nBROKEN {side}: {call_faults.kind_of(site) if site else 'no call'} "
                  f"{error and call_faults.name_of(error)} at {described.get(site)} {rule}: "
                  f"{problem}")
        faults = sum(self.injected.values()) + self.allocations
        print(f"\n{self.runs} runs, {len(ours)} call sites, {faults} faults, "
              f"{len(self.broken)} broken")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", choices=sorted(SIDES))
    parser.add_argument("--kinds", default=",".join(call_faults.KINDS))
    parser.add_argument("--every-call", action="store_true")
    parser.add_argument("--memory", type=int, metavar="ROUNDS")
    parser.add_argument("--dir", default="/dev/shm")
    options = parser.parse_args()
    table = Table()
    started = time.monotonic()
    for side in [options.side] if options.side else sorted(SIDES):
        with tempfile.TemporaryDirectory(prefix="p2p-", dir=options.dir) as directory:
            scenario = SIDES[side](directory)
            try:
                if options.memory:
                    table.memory(scenario, side, options.memory)
                elif options.every_call:
                    table.every_call(scenario, side, options.kinds.split(","))
                else:
                    table.every_site(scenario, side, options.kinds.split(","))
            finally:
                scenario.close()
    table.report()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(1 if table.broken else 0)


if __name__ == "__main__":
    main()
