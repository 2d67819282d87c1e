"""Help from comments. To be deleted when every algorithm's fields say what they are (`softq.utils.fields`)."""

import ast
import inspect
import io
import textwrap
import tokenize


def notes(cls: type) -> dict[str, str]:
    """The comment behind each field in the source of the dataclass `cls`, on whichever line of its statement.

    Comments that have a line of their own are not about one field.
    """
    source = textwrap.dedent(inspect.getsource(cls))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        token.start[0]: token.string.strip("#. ")
        for token in tokens
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip()
    }
    body = [line for node in ast.parse(source).body if isinstance(node, ast.ClassDef) for line in node.body]
    found = {}
    for field in (line for line in body if isinstance(line, ast.AnnAssign)):
        lines = range(field.lineno, (field.end_lineno or field.lineno) + 1)
        words = " ".join(comments[number] for number in lines if number in comments)
        found |= {ast.unparse(field.target): words} if words else {}
    return found
