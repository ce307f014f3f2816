"""Digits as strokes of a pen, drawn with the mouse on the page of a served model."""

import math

import numpy as np


def arc(x, y, width, height, start, end):
    """Return points of an ellipse, angles in degrees."""
    angles = np.radians(np.linspace(start, end, 25))
    return [(x + width * math.cos(a), y + height * math.sin(a)) for a in angles]


DIGITS = {
    "0": [arc(140, 140, 55, 85, -90, 270)],
    "1": [[(140, 55), (140, 225)]],
    "2": [[*arc(138, 100, 52, 48, -170, 40), (90, 220)], [(90, 220), (200, 220)]],
    "3": [arc(130, 97, 50, 42, -150, 90) + arc(130, 183, 55, 45, -90, 150)],
    "4": [[(110, 60), (85, 150), (195, 150)], [(170, 70), (165, 230)]],
    "5": [[(190, 62), (105, 62), (98, 130), *arc(132, 175, 55, 50, -110, 140)]],
    "6": [[(165, 55), (120, 110), (98, 165), *arc(140, 180, 42, 40, -170, 190)]],
    "7": [[(80, 62), (200, 62), (130, 228)]],
    "8": [arc(140, 97, 42, 40, 90, 450) + arc(140, 183, 50, 45, -90, 270)],
    "9": [[*arc(140, 105, 46, 46, 0, -360), (186, 110), (175, 228)]],
}
"""Strokes of each digit, in the 280 x 280 pixels of the drawing area."""


def draw(page, strokes):
    """Draw strokes with the mouse."""
    box = page.locator("#pad").bounding_box()
    scale = box["width"] / 280
    for stroke in strokes:
        places = [(box["x"] + x * scale, box["y"] + y * scale) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        page.mouse.up()
