"""Why NiiVue does not draw the viewer's planes: its own drawing, in the browser that `viewer.py` measures ours in.

    python benchmarks/viewer_niivue.py [--repeats 20] [--large 3]

Needs Chromium and `make viewer` (NiiVue). Three planes on a canvas of 1200 x 800, drawn in software; the volumes are
those of `viewer.py`, read as NIfTI from a server on loopback. One pixel is read back each time, so that drawing has
ended. --large: repeats at 512 x 512 x 300, where a change of the window takes many seconds.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import statistics
import sys
import tempfile
import threading
from pathlib import Path

import nibabel
import numpy as np
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "viewer"))
from conftest import FLAGS, SCREEN, chromium_path  # noqa: E402
from scenes import write_flair  # noqa: E402

PAGE = """<canvas id=c width=1200 height=800 style="width:1200px;height:800px"></canvas><script type=module>
import { Niivue } from "./niivue.js";
const pixel = new Uint8Array(4);
const finish = () => nv.gl.readPixels(0, 0, 1, 1, nv.gl.RGBA, nv.gl.UNSIGNED_BYTE, pixel);
window.load = async (volumes) => {
  const start = performance.now();
  window.nv = new Niivue({ dragAndDropEnabled: false });
  await nv.attachTo("c");
  await nv.loadVolumes(volumes);
  nv.opts.multiplanarShowRender = 0; // the planes alone, without a 3-D picture beside them
  nv.setSliceType(nv.sliceTypeMultiplanar);
  finish();
  return performance.now() - start;
};
window.time = (act, count) => Array.from({ length: count }, (_, n) => {
  const start = performance.now();
  act(n);
  finish();
  return performance.now() - start;
});
window.ready = true;
</script>"""
ACTS = {
    "slice": "(n) => nv.moveCrosshairInVox(0, 0, n % 2 ? 1 : -1)",
    "window": "(n) => { nv.volumes[0].cal_max = 500 + n; nv.updateGLVolume(); }",
    "opacity": "(n) => nv.setOpacity(1, n % 2 ? 0.3 : 0.5)",
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--large", type=int, default=3)
    told = parser.parse_args()
    found = chromium_path() or sys.exit("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=place))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
            for name, layers, repeats in (("mr", ["mr", "mask"], told.repeats), ("ct", ["ct"], told.large)):
                page = browser.new_page(viewport=SCREEN)
                page.set_default_timeout(600_000)
                page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
                measure(page, name, layers, repeats)
                page.close()
            browser.close()
        server.shutdown()


def make(folder: Path) -> None:
    """The page, NiiVue, and both volumes uncompressed."""
    shutil.copy(ROOT / "apps" / "viewer" / "static" / "vendor" / "niivue.js", folder)
    (folder / "index.html").write_text(PAGE)
    write_flair(folder / "made")
    for source, name in (("sub-01_FLAIR", "mr"), ("sub-01_desc-lesion_mask", "mask")):
        nibabel.save(nibabel.load(folder / "made" / f"{source}.nii.gz"), folder / f"{name}.nii")
    voxels = np.random.default_rng(0).integers(-1000, 400, (512, 512, 300), dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-0.7, -0.7, 1, 1])), folder / "ct.nii")


def measure(page: Page, name: str, layers: list[str], repeats: int) -> None:
    """Print milliseconds of loading, and of each act: median and slowest."""
    page.wait_for_function("() => window.ready")
    volumes = [{"url": f"{layer}.nii", "colormap": "red" if layer == "mask" else "gray"} for layer in layers]
    print(f"{name}  load     {page.evaluate('(volumes) => window.load(volumes)', volumes):8.0f} ms", flush=True)
    for act, code in ACTS.items():
        if act != "opacity" or len(layers) > 1:
            times = page.evaluate(f"() => window.time({code}, {repeats})")
            print(
                f"{name}  {act:8} {statistics.median(times):8.1f} ms (slowest {max(times):.1f}, n = {repeats})",
                flush=True,
            )


if __name__ == "__main__":
    main()
