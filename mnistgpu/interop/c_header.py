"""A network as one C header: its numbers, and functions that answer, for a microcontroller too.

C99 (and C++), no allocation, nothing to link but the library of maths. The test compiles it with
-Wall -Werror and compares its answers.
"""

from __future__ import annotations

import math
import re

import numpy as np

from mnistgpu.errors import UsageError
from mnistgpu.interop.exported import (
    Exported,
    Scaling,
    layers_of,
    refuse_activation,
    scaling,
    texts_of,
)
from mnistgpu.maths.activations import LEAK, SCALE, SLOPE

# The first words: a program that includes the header has the names of its functions too.
MARK: bytes = b"/* A trained network of mnistgpu, for any C99"
A_LINE = 8  # numbers
MOST_PARAMETERS = 20_000_000  # 240 MB of text, about as much as a compiler takes
ROOT = math.sqrt(2.0 / math.pi)
# Expressions of z. NUMBER(x) is a constant of the type to compute in, TANH and EXP its functions.
FORMS = {
    "relu": "z > 0 ? z : 0",
    "leaky-relu": f"z > 0 ? z : NUMBER({LEAK!r}) * z",
    "tanh": "TANH(z)",
    "scaled-tanh": f"NUMBER({SCALE!r}) * TANH(NUMBER({SLOPE!r}) * z)",
    "sigmoid": "NUMBER(0.5) * TANH(NUMBER(0.5) * z) + NUMBER(0.5)",
    "gelu": f"NUMBER(0.5) * z * (1 + TANH(NUMBER({ROOT!r}) * (z + NUMBER(0.044715) * z * z * z)))",
}
TEMPLATE = """\
/* A trained network of mnistgpu, for any C99 or C++ compiler:

     #include "{file}"
     unsigned char pixels[MNISTGPU_PIXELS];          the rows of an image, {scaling}
     number shares[MNISTGPU_CLASSES];                here "number" stands for {number}
     mnistgpu_probabilities(pixels, shares);         fills in the probability of each class
     int best = mnistgpu_answer(pixels);             the number of the most probable class
     const char *name = mnistgpu_classes[best];      its name

   Link with -lm.

{facts}
*/
#ifndef MNISTGPU_MODEL_H
#define MNISTGPU_MODEL_H

#include <math.h>

#define MNISTGPU_PIXELS {pixels}
#define MNISTGPU_CLASSES {classes}

static const char *const mnistgpu_classes[MNISTGPU_CLASSES] = {{{names}}};

{arrays}

/* Z = W A + b, for W (rows, columns); A may be any type of numbers. */
static inline void mnistgpu_layer(const {number} *W, const {number} *b, int rows, int columns,
                                  const {number} *A, {number} *Z)
{{
    for (int i = 0; i < rows; i++) {{
        {number} sum = 0;
        for (int j = 0; j < columns; j++)
            sum += W[(long)i * columns + j] * A[j];
        Z[i] = sum + b[i];
    }}
}}

static inline void mnistgpu_softmax({number} *Z, int count)
{{
    {number} largest = Z[0], total = 0;
    for (int i = 1; i < count; i++)
        if (Z[i] > largest)
            largest = Z[i];
    for (int i = 0; i < count; i++)
        total += Z[i] = {exp}(Z[i] - largest);
    for (int i = 0; i < count; i++)
        Z[i] /= total;
}}

{activations}
static inline void mnistgpu_probabilities(const unsigned char *pixels, {number} *probabilities)
{{
    {number} images[MNISTGPU_PIXELS];
    {number} one[{widest}], other[{widest}];
    for (int i = 0; i < MNISTGPU_PIXELS; i++)
        images[i] = {pixel};
    for (int k = 0; k < MNISTGPU_CLASSES; k++)
        probabilities[k] = 0;
{calls}    for (int k = 0; k < MNISTGPU_CLASSES; k++)
        probabilities[k] /= {members};
    (void)one, (void)other;
}}

static inline int mnistgpu_answer(const unsigned char *pixels)
{{
    {number} shares[MNISTGPU_CLASSES];
    int best = 0;
    mnistgpu_probabilities(pixels, shares);
    for (int k = 1; k < MNISTGPU_CLASSES; k++)
        if (shares[k] > shares[best])
            best = k;
    return best;
}}

#endif
"""


def content(network: Exported, file: str) -> bytes:
    """The header, whose comment calls it by the name of its file.

    UsageError for an activation without a form in C, or a network that no compiler would take.
    """
    if network.parameters > MOST_PARAMETERS:
        raise UsageError(
            f"{network.parameters:,} parameters are too many for a C header, of which compilers "
            f"take up to about {MOST_PARAMETERS:,}; export to .onnx"
        )
    number, suffix = ("double", "") if network.dtype == np.float64 else ("float", "f")
    arrays, calls = [], []
    for m, member in enumerate(network.members, 1):
        if member.activation not in FORMS:
            raise refuse_activation(member.activation, ".h")
        source, target = "images", "one"
        layers = layers_of(member)
        for i, (W, b) in enumerate(layers, 1):
            own = f"mnistgpu_{m}_{i}"
            for name, values in (("W", W), ("b", b)):
                arrays.append(array_of(f"{own}_{name}", values.astype(network.dtype), number))
            rows, columns = W.shape
            calls.append(
                f"    mnistgpu_layer({own}_W, {own}_b, {rows}, {columns}, {source}, {target});\n"
            )
            if i < len(layers):
                name = function_of(member.activation)
                calls.append(f"    for (int i = 0; i < {rows}; i++)\n")
                calls.append(f"        {target}[i] = {name}({target}[i]);\n")
            source, target = target, "other" if target == "one" else "one"
        calls.append(f"    mnistgpu_softmax({source}, MNISTGPU_CLASSES);\n")
        calls.append("    for (int k = 0; k < MNISTGPU_CLASSES; k++)\n")
        calls.append(f"        probabilities[k] += {source}[k];\n")
    used = dict.fromkeys(member.activation for member in network.members if len(member.sizes) > 2)
    how = scaling(network.levels, "uint8")
    text = TEMPLATE.format(
        file=comment(file),
        scaling=how,
        number=number,
        facts="\n".join(f"   {name}: {comment(fact)}" for name, fact in network.facts.items()),
        pixels=network.pixels,
        classes=len(network.classes),
        names=", ".join(literal(str(name)) for name in network.classes),
        arrays="\n".join(arrays),
        exp=f"exp{suffix}",
        activations="".join(function(name, number, suffix) for name in used),
        widest=max(size for member in network.members for size in member.sizes[1:]),
        pixel=pixel(how, number, suffix),
        calls="".join(calls),
        members=len(network.members),
    )
    return text.encode()


def array_of(name: str, values: np.ndarray, number: str) -> str:
    """A constant array, with the shortest decimals that give the same bits again."""
    suffix = "f" if number == "float" else ""
    texts = [text + suffix for text in texts_of(values)]
    lines = [", ".join(texts[i : i + A_LINE]) for i in range(0, len(texts), A_LINE)]
    body = ",\n    ".join(lines)
    return f"static const {number} {name}[{len(texts)}] = {{\n    {body}}};"


def function_of(activation: str) -> str:
    """The name of the function of an activation."""
    return "mnistgpu_" + activation.replace("-", "_")


def function(activation: str, number: str, suffix: str) -> str:
    """The function of an activation."""
    form = re.sub(r"NUMBER\(([^)]*)\)", rf"\1{suffix}", FORMS[activation])
    form = form.replace("TANH", f"tanh{suffix}")
    name = function_of(activation)
    return f"static inline {number} {name}({number} z)\n{{\n    return {form};\n}}\n\n"


def pixel(how: Scaling, number: str, suffix: str) -> str:
    """The expression that scales pixel i to 0 for paper and 1 for ink."""
    if how.is_plain:
        return f"pixels[i] * (1.0{suffix} / 255.0{suffix})"
    level = f"(pixels[i] - {how.paper!r}{suffix}) * {how.factor!r}{suffix}"
    clipped = f"fmin{suffix}(fmax{suffix}(rint{suffix}({level}), 0), 255)"
    return f"{clipped} * (1.0{suffix} / 255.0{suffix})"


def literal(text: str) -> str:
    """A text as a string literal of C, in UTF-8."""
    safe = re.compile(rb"[A-Za-z0-9 _.,:;=+*-]")
    parts = [bytes([byte]) for byte in text.encode()]
    return '"' + "".join(p.decode() if safe.match(p) else f"\\{p[0]:03o}" for p in parts) + '"'


def comment(text: str) -> str:
    """A text on one line that cannot end a comment, nor begin another in it."""
    plain = "".join(each if each.isprintable() else "?" for each in text)
    return plain.replace("\\", "/").replace("*/", "* /").replace("/*", "/ *")
