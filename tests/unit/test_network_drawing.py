"""Where the boxes and lines of a drawn network lie; how that looks is tested in a browser, in test_page.py."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import msgspec
import pytest
import record_factory as factory
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from mbench.core.records import Layer, Record, Result
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.page import network_drawing, report, views
from mbench.page.network_drawing import HEAD, INNER, LAYER, BlockBox, DrawnLine, NetworkDrawing

V2 = "mobilenet_v2_1.0_224"


def of_record(record: Record) -> NetworkDrawing:
    view = views.of_record(record)
    return network_drawing.of_result(view.results[0], emulated=view.emulated)


def of_layers(layers: tuple[Layer, ...]) -> NetworkDrawing:
    record = factory.record((V2,))
    return of_record(
        msgspec.structs.replace(record, results=(msgspec.structs.replace(record.results[0], layers=layers),))
    )


def of_graph(graph: Graph) -> NetworkDrawing:
    record = factory.record((V2,))
    return of_record(msgspec.structs.replace(record, results=(factory.with_graph(record.results[0], graph),)))


def excited() -> Graph:
    """Return a stem, a block with squeeze-excite and a residual, and a block that reads the stem again."""
    builder = GraphBuilder()
    with builder.block("stem", prefix=""):
        stem = builder.convolution("conv", builder.input("image", (1, 3, 32, 32)), 8, kernel=3, stride=2, role="stem")
    with builder.block("block1"):
        x = builder.convolution("expand", stem, 32, role="expand", activation="relu")
        x = builder.convolution("dw", x, 32, kernel=3, groups=32, role="depthwise", activation="relu")
        gate = builder.add("global_avg_pool", "pool", x, role="squeeze")
        gate = builder.convolution("excite", gate, 32, role="excite", activation="hard_sigmoid")
        x = builder.add("multiply", "scale", x, gate, role="excite")
        x = builder.add("add", "add", builder.convolution("project", x, 8, role="project"), stem, role="residual")
    with builder.block("block2"):
        x = builder.convolution("pw", x, 8, role="pointwise")
    with builder.block("head", prefix=""):
        x = builder.add("concat", "both", x, stem, axis=1)
    return builder.graph(x)


def inside(box: BlockBox, drawing: NetworkDrawing) -> bool:
    right, bottom = box.x + box.width, box.y + box.height
    return min(box.x, box.y) >= 0 and right <= drawing.width and bottom <= drawing.height


def points(line: DrawnLine) -> list[tuple[float, float]]:
    """Return where a path's strokes begin and end."""
    found: list[tuple[float, float]] = []
    x = y = 0.0
    for command, text in re.findall(r"([MHVhvlm])([-\d. ]+)", line.path):
        for part in re.findall(r"-?\d+(?: -?\d+)?|-\d+", text):
            first, *rest = map(float, part.split())
            if command in "Mml":
                x, y = (first, rest[0]) if command == "M" else (x + first, y + rest[0])
            else:
                x = first if command == "H" else x + first if command == "h" else x
                y = first if command == "V" else y + first if command == "v" else y
            found.append((x, y))
    return found


def test_mobilenet_v2_has_17_blocks_with_10_residuals_between_stem_and_head() -> None:
    """Oracle: Sandler et al., table 2: those of 17 blocks have a residual that keep their channels at stride 1."""
    drawing = of_record(factory.record((V2,)))
    assert [box.label for box in drawing.blocks] == ["stem", *(f"block{n}" for n in range(1, 18)), "head"]
    assert [len(box.layers) for box in drawing.blocks] == [1, 2, *[3] * 16, 3]
    assert [layer.label for layer in drawing.blocks[2].layers] == ["expand", "depthwise", "project"]
    assert [layer.detail for layer in drawing.blocks[2].layers] == ["1x1, 96 ch", "3x3 /2, 96 ch", "1x1, 24 ch"]
    assert [(line.kind) for line in drawing.lines].count("skip") == 10
    residual = {box.label for box in drawing.blocks if box.width > drawing.blocks[0].width}
    assert residual == {f"block{n}" for n in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)}
    assert "19 blocks with 54 layers in order of execution; 10 layers read a block's input again" in drawing.description


@pytest.mark.parametrize("name", ["mobilenet_v1_1.0_224", "mobilenet_v1_1.0_224_standard", V2, f"{V2}_standard"])
def test_boxes_lie_apart_within_the_drawing(name: str) -> None:
    drawing = of_record(factory.record((name,)))
    assert drawing.width <= network_drawing.MOST_WIDTH + network_drawing.PAD
    for one, other in itertools.combinations(drawing.blocks, 2):
        apart = one.x + one.width < other.x or other.x + other.width < one.x
        assert apart or one.y + one.height < other.y or other.y + other.height < one.y
    for box in drawing.blocks:
        assert inside(box, drawing)
        tops = [layer.y for layer in box.layers]
        assert tops == [box.y + HEAD + LAYER * place for place in range(len(tops))]
        assert tops[-1] + LAYER <= box.y + box.height
    for line in drawing.lines:
        for x, y in points(line):
            assert 0 <= x <= drawing.width + network_drawing.ACROSS
            assert 0 <= y <= drawing.height


def test_a_chain_has_arrows_and_no_other_lines() -> None:
    drawing = of_record(factory.record(("mobilenet_v1_0.25_32",)))
    assert {line.kind for line in drawing.lines} == {"flow"}
    between = len(drawing.blocks) - 1
    within = sum(len(box.layers) - 1 for box in drawing.blocks)
    assert len(drawing.lines) == between + within


def test_branches_and_residuals_have_lines_of_their_own() -> None:
    drawing = of_graph(excited())
    box = drawing.blocks[1]
    assert [layer.label for layer in box.layers] == ["expand", "depthwise", "squeeze", "excite", "excite", "project"]
    edge = box.x + network_drawing.PAD + INNER
    beside = [points(line) for line in drawing.lines if line.kind == "skip" and points(line)[0][0] == edge]
    ends = sorted(((line[0][1] - box.y) // LAYER, (line[3][1] - box.y - HEAD) // LAYER) for line in beside)
    assert ends == [(0, 5), (2, 4)]  # out of the head into the projection; out of the depthwise layer into the product
    assert len({line[1][0] for line in beside}) == 2  # on tracks of their own


def test_a_line_leads_above_the_blocks_between_two_that_are_no_neighbours() -> None:
    drawing = of_graph(excited())
    stem, _, _, head = drawing.blocks
    [over] = [points(line) for line in drawing.lines if line.kind == "skip" and points(line)[0][1] == stem.y]
    assert min(y for _, y in over) < stem.y
    assert head.x < over[-1][0] < head.x + head.width


def test_shares_are_of_the_time() -> None:
    drawing = of_record(factory.record((V2,)))
    assert drawing.cost == "time"
    shares = [float(box.share.removesuffix(" %")) for box in drawing.blocks]
    assert sum(shares) == pytest.approx(100, abs=1)
    assert max(box.shade for box in drawing.blocks) == 1.0
    assert [box.shade for box in drawing.blocks] == pytest.approx([share / max(shares) for share in shares], abs=0.01)
    bars = [layer.bar for box in drawing.blocks for layer in box.layers]
    assert max(bars) == INNER
    assert min(bars) >= 0


def test_without_times_shares_are_of_instructions_or_multiply_adds() -> None:
    drawing = of_record(factory.record((V2,), latency=False))
    assert drawing.cost == "multiply-adds"
    [result] = factory.record((V2,)).results
    stem = result.layers[0].macs / sum(layer.macs for layer in result.layers)
    assert drawing.blocks[0].share == f"{100 * stem:.1f} %"
    assert of_record(factory.emulated((V2,))).cost == "instructions"


def test_a_network_without_blocks_is_one_box() -> None:
    [result] = factory.record((V2,)).results
    layers = tuple(msgspec.structs.replace(layer, block=None, role="other") for layer in result.layers[:4])
    drawing = of_layers(layers)
    [box] = drawing.blocks
    assert (box.label, len(box.layers)) == ("no block", 4)
    assert [layer.label for layer in box.layers[:2]] == ["standard con…", "depthwise"]
    assert drawing.description.startswith("1 block with 4 layers in order of execution. What is in no block has")


def test_layers_of_no_block_before_and_after_a_block_are_apart() -> None:
    [result] = factory.record((V2,)).results
    blocks = (None, "a", "a", None, None)
    layers = tuple(
        msgspec.structs.replace(layer, block=block) for layer, block in zip(result.layers[:5], blocks, strict=True)
    )
    assert [len(box.layers) for box in of_layers(layers).blocks] == [1, 2, 2]


def test_no_time_and_no_work_is_drawn_too() -> None:
    [result] = factory.record((V2,), latency=False).results
    layers = tuple(msgspec.structs.replace(layer, macs=0, latency_s=None) for layer in result.layers[:3])
    drawing = of_layers(layers)
    assert {box.shade for box in drawing.blocks} == {0.0}


@given(st.integers(2, 14), st.randoms(use_true_random=False))
def test_lines_that_do_not_begin_at_the_same_box_never_lie_on_each_other(count: int, choose: random.Random) -> None:
    [result] = factory.record((V2,)).results
    layers: list[Layer] = []
    for layer in result.layers[:count]:
        names = [other.name for other in layers]
        read = tuple(choose.sample(names, choose.randint(0, min(3, len(names)))))
        layers.append(msgspec.structs.replace(layer, block="only", inputs=read))
    [box] = (drawing := of_layers(tuple(layers))).blocks
    skips = [points(line)[:4] for line in drawing.lines if line.kind == "skip"]
    for one, other in itertools.combinations(skips, 2):
        if one[1][0] == other[1][0] and one[0] != other[0]:
            assert one[2][1] <= other[0][1] or other[2][1] <= one[0][1]
    assert all(max(x for x, _ in line) < box.x + box.width for line in skips)


def test_the_page_has_the_drawing_with_its_words_and_its_links() -> None:
    page: Any = html.fromstring(report.render([factory.record((V2, f"{V2}_standard"))]))
    first, second = page.xpath('//svg[@class="network"]')
    assert first.find("title").text == "MobileNetV2 1.0 224, block by block"
    assert first.find("desc").text.startswith("19 blocks with 54 layers")
    described = first.get("aria-labelledby").split()
    assert [page.get_element_by_id(name).tag for name in described] == ["title", "desc"]
    links = [link.get("href").removeprefix("#") for link in first.iter("a")]
    assert len(links) == 54
    assert {page.get_element_by_id(link).get("class") for link in links} == {"layer-view"}
    panels = [
        next(each for each in drawn.iterancestors("section") if "panel" in each.get("class", ""))
        for drawn in (first, second)
    ]
    assert ["current" in each.get("class").split() for each in panels] == [True, False]  # one network at a time


def test_a_network_of_many_blocks_is_drawn() -> None:
    def layer(number: int, base: Layer) -> Layer:
        inputs = (f"n{number - 1}",) if number else ()
        return msgspec.structs.replace(base, index=number, name=f"n{number}", block=f"b{number // 3}", inputs=inputs)

    [result] = factory.record((V2,)).results
    many: Result = msgspec.structs.replace(result, layers=tuple(layer(n, result.layers[3]) for n in range(600)))
    assert len(of_layers(many.layers).blocks) == 200
