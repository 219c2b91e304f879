"""What only the report needs: tables, quoted numbers, exhibits, HTML and PDF."""
