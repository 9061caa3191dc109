"""A run as one page for a browser, which needs nothing else.

page.py puts it together; cases.py makes the rows of its table and charts.py the drawings; all text
goes in through markup.py. style.css and script.js are put in whole.
"""
