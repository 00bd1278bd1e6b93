"""Prints of every test in the given files: module.Class.method;suite+.... CMake reads that.

Nothing is imported for it: the decorator `suites` of p2p_harness is read in the source. That of a method counts before that
of its class.
"""
import ast
import os
import sys

# What else than the release build takes a test that says nothing.
USUAL = ("sanitizers", "tsan")
KNOWN = ("portable", "sanitizers", "tsan")


def decorators_of(node):
    """{name: its arguments}."""
    found = {}
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
        if isinstance(call.func, ast.Name):
            found[call.func.id] = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    return found


def tests_of(path):
    module = os.path.splitext(os.path.basename(path))[0]
    with open(path, encoding="utf-8") as source:
        tree = ast.parse(source.read(), path)
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        of_class = decorators_of(node)
        for member in node.body:
            if isinstance(member, ast.FunctionDef) and member.name.startswith("test_"):
                told = {**of_class, **decorators_of(member)}
                suites = told.get("suites", USUAL)
                unknown = set(suites) - set(KNOWN)
                if unknown:
                    sys.exit(f"{path}:{member.lineno}: no such suite: {', '.join(sorted(unknown))} ({', '.join(KNOWN)})")
                yield f"{module}.{node.name}.{member.name};{'+'.join(suites)}"


for argument in sys.argv[1:]:
    for test in tests_of(argument):
        print(test)
