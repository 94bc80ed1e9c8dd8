"""Scenes to measure causal representation learning from pixels on: shapes on a plane, and objects in space.

Every scene has causal variables on open arcs, a random graph, nonlinear mechanisms as a Pyro program, and a renderer
that shows the variables one to one.
"""

from pyro_lcm.data.scenes.catalogue import SCENES, find_scene
from pyro_lcm.data.scenes.contract import Renderer, Scene
from pyro_lcm.data.scenes.measure import Sight, hidden_fractions, measure_sight
from pyro_lcm.data.scenes.objects3d import Objects3D
from pyro_lcm.data.scenes.shapes import Arc, Background, Shape
from pyro_lcm.data.scenes.shapes_scene import ShapesScene
from pyro_lcm.data.scenes.store import plan_sample, write_samples
from pyro_lcm.data.scenes.system import SceneSystem, simulate_objects3d, simulate_shapes

__all__ = [
    "SCENES",
    "Arc",
    "Background",
    "Objects3D",
    "Renderer",
    "Scene",
    "SceneSystem",
    "Shape",
    "ShapesScene",
    "Sight",
    "find_scene",
    "hidden_fractions",
    "measure_sight",
    "plan_sample",
    "simulate_objects3d",
    "simulate_shapes",
    "write_samples",
]
