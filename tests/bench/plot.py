# SPDX-License-Identifier: GPL-2.0-or-later
"""Plots of the bench's tables, by gnuplot."""

import shutil
import subprocess


def draw(path, script, rows):
    if not shutil.which("gnuplot"):
        print("no gnuplot: no plot")
        return
    data = "$rows << EOD\n" + "\n".join(rows) + "\nEOD\n"
    head = f'set terminal svg size 900,420 dynamic background "white"\nset output "{path}"\nset encoding utf8\n'
    subprocess.run(["gnuplot"], input=head + data + script, text=True, check=True)


def quoted(words):
    return '"' + words.replace('"', "'") + '"'


def table(path, title, medians):
    """Wall and CPU seconds of each contestant, and what it sent."""
    rows = [f"{quoted(name.replace(' | ', '|'))} {row[0]:.3f} {row[1]:.3f} {row[2]:.1f}" for name, row in medians.items()]
    draw(path, f"""
set title {quoted(title)}
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set xtics rotate by -20 font ",9"
set ylabel "seconds"
set y2label "MB sent"
set ytics nomirror
set y2tics
set yrange [0:*]
set y2range [0:*]
set grid y
plot $rows using 2:xtic(1) title "wall" axes x1y1, '' using 3 title "CPU of both ends" axes x1y1, \\
     '' using 4 title "sent (right)" axes x1y2
""", rows)


def steps(path, medians):
    rows = [f"{n} {row[0]:.3f} {row[1]:.3f} {row[2]:.1f}" for n, row in enumerate(medians.values())]
    draw(path, """
set title "Steps of compression on the ext4 disk"
set xlabel "step"
set ylabel "seconds"
set y2label "MB sent"
set xtics 1
set ytics nomirror
set y2tics
set yrange [0:*]
set y2range [0:*]
set grid y
plot $rows using 1:2 with linespoints title "wall", '' using 1:3 with linespoints title "CPU of both ends", \\
     '' using 1:4 with linespoints axes x1y2 title "sent (right)"
""", rows)
