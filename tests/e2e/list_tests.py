"""Prints module.Class.method of every test in the given files, one a line. CMake reads that."""
import ast
import os
import sys


def tests_of(path):
    module = os.path.splitext(os.path.basename(path))[0]
    with open(path, encoding="utf-8") as source:
        tree = ast.parse(source.read(), path)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and member.name.startswith("test_"):
                    yield f"{module}.{node.name}.{member.name}"


for argument in sys.argv[1:]:
    for name in tests_of(argument):
        print(name)
