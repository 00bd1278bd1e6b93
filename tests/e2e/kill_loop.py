"""SIGKILL at random moments of real transfers. bench/run.sh kill runs as many rounds as one likes."""
import tempfile

from p2p_harness import P2pTest, suites
from p2p_kill_loop import KillLoop


@suites("portable", "sanitizers")
class KillLoopTest(P2pTest):
    def test_R08_X02_twenty_five_random_kills_lose_no_chunk_and_end_with_the_right_files(self):
        loop = KillLoop(seed=25, directories=[self.dir, tempfile.gettempdir()])
        for problems in loop.run(rounds=25):
            self.assertEqual(problems, [])
        figures = loop.figures
        print("\n".join(figures.lines()))
        self.assertEqual(figures.rounds, 25)
        self.assertEqual(figures.bad(), {})
        self.assertLessEqual(figures.worst_twice_windows, 1, "a crash costs more than one window")
