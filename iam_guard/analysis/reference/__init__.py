"""Service authorization references as files and pages: AWS's JSON form, Markdown, HTML; and those of IAM and STS."""
