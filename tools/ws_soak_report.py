"""``tools/ws_soak_report.py --out-dir D --gate …``: the familiar name of ``paraphina report``."""

from cli.report import report

if __name__ == "__main__":
    report()
