from memtk.leaderboard import collect, make_boards

FEW, TIMES = 15, 4


def test_four_times_the_cells_are_collected_and_ranked_in_four_times_the_calls(write, calls):
    counts = {}
    for what in ("warm", "few", "many"):  # what is loaded once is not counted
        cells = FEW * (TIMES if what == "many" else 1)
        entries = [("monai2d", {"config": {"channels": [8, 16 + k]}}) for k in range(cells)]
        folder = write(*entries, folder=what, truth=False)
        with calls() as made:
            boards = make_boards(collect(folder).runs)
        assert sum(len(board.rows) for board in boards) == cells
        counts[what] = made.count
    assert counts["few"] > FEW and counts["many"] < 1.1 * TIMES * counts["few"], counts
